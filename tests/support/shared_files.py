"""Model files of other libraries beside the repository; tests skip where they are not."""

from pathlib import Path

ROOT = Path(__file__).parents[2]


def shared_data() -> Path | None:
    """The folder of real model files, which is no part of the repository."""
    places = (ROOT / "shared", ROOT.parent / "shared")
    return next((place / "data" for place in places if (place / "data" / "sb3").is_dir()), None)
