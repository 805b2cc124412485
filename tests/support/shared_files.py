"""Model files of other libraries beside the repository; tests skip where they are not."""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def shared_data() -> Path | None:
    """The folder of real model files, which is no part of the repository."""
    places = (ROOT / "shared", ROOT.parent / "shared")
    return next((place / "data" for place in places if (place / "data" / "sb3").is_dir()), None)


def sb3_entries(folder: str) -> list[dict[str, Any]]:
    """What is said of each model of Stable-Baselines3 in a folder of them; none where they are not."""
    data = shared_data()
    return [] if data is None else json.loads((data / folder / "index.json").read_text())["models"]
