"""What lies beside a model and was not named: statistics and settings that it may have been trained with.

Source: rl-baselines3-zoo and huggingface_sb3, which write `vecnormalize.pkl`, `vec_normalize.pkl` and `config.yml` beside the
zip, or in a folder of its name.
"""

import itertools
import re
from pathlib import Path
from typing import NamedTuple

from perdure._core import FileFormatError, MissingExtraError

from .._yaml import read_yaml
from ._config import environment_notes, wants_statistics
from ._vecnormalize import normalizes_observations

MAX_FILES = 10_000  # of a folder that are looked at
_STATISTICS = re.compile(r".*vec_?normali[sz]e.*\.(pkl|pickle)", re.IGNORECASE)
_CONFIG = re.compile(r"(.*[._-])?config\.ya?ml", re.IGNORECASE)


class Neighbours(NamedTuple):
    """By their places from the folder of the model."""

    statistics: list[str]
    configs: dict[str, list[str] | None]  # what each asks for


def _names(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in itertools.islice(folder.iterdir(), MAX_FILES))
    except OSError:  # not there, or closed to us: then nothing can be said of it
        return []


def _is_of_another(name: str, stem: str, stems: list[str]) -> bool:
    """True if a file is named after another model in the folder."""
    owner = max((other for other in stems if name.startswith(other)), key=len, default=stem)
    return owner != stem


def _asks_for(path: Path) -> list[str] | None:
    """What a config asks for; None if it cannot be read."""
    try:
        settings = read_yaml(path)
    except (FileFormatError, MissingExtraError, OSError):
        return None
    return ["that observations are normalised"] * wants_statistics(settings) + environment_notes(settings)


def neighbours_of(path: Path) -> Neighbours:
    """Of the model at `path`; those named after another model in the folder are not its."""
    names = _names(path.parent)
    stems = [Path(name).stem for name in names if name.endswith(".zip")]
    candidates = [Path(name) for name in names if not _is_of_another(name, path.stem, stems)]
    candidates += [Path(path.stem, name) for name in _names(path.parent / path.stem)]
    found = Neighbours([], {})
    for place in candidates:
        if _STATISTICS.fullmatch(place.name) and normalizes_observations(path.parent / place):
            found.statistics.append(str(place))
        elif _CONFIG.fullmatch(place.name):
            found.configs[str(place)] = _asks_for(path.parent / place)
    return found


def notes_of(found: Neighbours, *, has_statistics: bool, has_config: bool) -> list[str]:
    """What the caller should know of files that were not named, with the flags that take them in."""
    notes = []
    if found.statistics and not has_statistics:
        notes.append(
            f"{', '.join(found.statistics)} beside it was not taken in. If the model was trained with it, the policy acts "
            f"wrongly on raw observations without: vecnormalize={found.statistics[0]!r} (--vecnormalize)"
        )
    for place, asked in ({} if has_config else found.configs).items():
        if asked is None:
            text = "was not taken in and cannot be read here, but may ask something of the environment"
        elif asked:
            text = f"was not taken in, and says: {'; '.join(asked)}"
        else:
            continue
        notes.append(f"{place} beside it {text}. Give it: config={place!r} (--config)")
    return notes
