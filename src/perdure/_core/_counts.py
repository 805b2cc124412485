"""What is counted."""


def check_counts(**counts: int | None) -> None:
    """Check what is counted, by the argument's name; None stands for an argument that was left out.

    Raises: ValueError for a count below 1.
    """
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ValueError(f"{name}={count}, but at least 1 is needed.")
