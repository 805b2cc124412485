"""What is equal to the bit."""

from perdure._core import leaf_to_numpy, leaves_with_paths


def bits(tree) -> dict[str, bytes]:
    """The data of each leaf by path."""
    return {path: leaf_to_numpy(leaf).tobytes() for path, leaf in leaves_with_paths(tree)}
