"""Many checkpoints in one folder: the newest that is whole, and which of them to keep."""

import math
import os
import secrets
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from perdure._core import FileFormatError, aside, check_counts, locked, remove, tidy

from ._directory import holds_nan, verify
from ._metadata import METADATA, read_metadata

BROKEN = "broken"  # the folder that broken checkpoints are moved to
RETURN = "episode_return"  # in the metadata of a checkpoint: what `keep_best` goes by


class Found(NamedTuple):
    """A checkpoint in a folder, by what its `metadata.json` says."""

    path: Path
    steps: int
    mean_return: float | None


def checkpoints_in(folder: str | Path) -> tuple[list[Found], dict[Path, str]]:
    """The checkpoints in a folder, oldest first by environment steps, then by age; and those with a broken `metadata.json`,
    with what is wrong. Their other files are not read.
    """
    found, broken = [], {}
    for path in sorted(Path(folder).iterdir()):
        if path.name.startswith(".") or path.name == BROKEN or not path.is_dir():
            continue
        try:
            head = read_metadata(path)
            age = os.stat(path / METADATA).st_mtime_ns
        except (FileFormatError, FileNotFoundError) as error:
            if any(path.glob("*.safetensors")) or (path / METADATA).exists():
                broken[path] = str(error)
            continue
        value = head["metadata"].get(RETURN)
        found.append((head["steps"], age, Found(path, head["steps"], value if is_finite(value) else None)))
    return [one for *_, one in sorted(found, key=lambda entry: entry[:2])], broken


def is_finite(value: object) -> bool:
    """True for a number that others can be compared with."""
    return isinstance(value, int | float) and math.isfinite(value)


def latest(folder: str | Path) -> Path | None:
    """The newest checkpoint in a folder, of those that are whole; None if there is none.

    Every file of it is read and compared with its digest. Broken ones that are met on the way are moved to `broken/` in the
    same folder, with a warning that says why; nothing is deleted but what a crash left unfinished.

    Raises: FileNotFoundError if there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {str(folder)!r}. Check the name.")
    with suppress(OSError):
        tidy(folder)
    found, broken = checkpoints_in(folder)
    for path, why in broken.items():
        set_aside(path, why)
    for one in reversed(found):
        try:
            verify(one.path)
            return one.path
        except FileFormatError as error:
            set_aside(one.path, str(error))
        except FileNotFoundError:  # removed by another process meanwhile
            continue
    return None


def set_aside(path: Path, why: str) -> None:
    """Move a broken checkpoint to `broken/` beside it, with a warning."""
    place = path.parent / BROKEN / path.name
    with suppress(OSError):  # on a disk that is only read it stays where it is
        place.parent.mkdir(exist_ok=True)
        if place.exists():
            place = place.with_name(f"{path.name}-{secrets.token_hex(3)}")
        os.rename(path, place)
    warnings.warn(
        f"a broken checkpoint was passed over; it is in {place if place.exists() else path}. {why}", stacklevel=3
    )


class Retention:
    """Which checkpoints of a folder stay: the newest `keep_last`, the `keep_best` with the highest return, and one for
    every `keep_every` environment steps. Without any of the three, all.

    The newest whole one always stays, and so does the best whole one where `keep_best` is given, whatever is broken. One with
    NaN in what is learned, which earlier versions saved, counts as broken here.

    Raises: ValueError for numbers below 1.
    """

    def __init__(self, *, keep_last: int | None = None, keep_best: int | None = None, keep_every: int | None = None):
        check_counts(keep_last=keep_last, keep_best=keep_best, keep_every=keep_every)
        self.keep_last, self.keep_best, self.keep_every = keep_last, keep_best, keep_every
        self._whole: dict[Path, Any] = {}  # what was found whole, by the state of its files then

    def apply(self, folder: Path) -> None:
        """Remove the checkpoints that are not to stay. Broken ones are left to `latest`."""
        if self.keep_last is None and self.keep_best is None and self.keep_every is None:
            return
        found, _ = checkpoints_in(folder)
        going = [one for one in found if one not in self.kept(found)]
        with locked(folder, shared=True):
            for one in going:
                hidden = aside(one.path, "tmp")  # half of it is not to be found as a checkpoint
                with suppress(FileNotFoundError):
                    os.rename(one.path, hidden)
                    remove(hidden)

    def kept(self, found: list[Found]) -> list[Found]:
        """Those of `found`, oldest first, that stay."""
        kept = self.first_whole(list(reversed(found)), self.keep_last or 1)
        rated = [one for one in found if one.mean_return is not None]
        if self.keep_best is not None:
            by_return = sorted(rated, key=lambda one: (one.mean_return, one.steps), reverse=True)
            kept += self.first_whole(by_return, self.keep_best)
        if self.keep_every is not None:
            reached = 0
            for one in found:  # the first one at or after each multiple
                if one.steps >= reached:
                    kept.append(one)
                    reached = (one.steps // self.keep_every + 1) * self.keep_every
        return kept

    def first_whole(self, found: list[Found], count: int) -> list[Found]:
        """The first of `found` up to where `count` whole ones are among them."""
        for at, one in enumerate(found):
            count -= self.is_whole(one.path)
            if not count:
                return found[: at + 1]
        return found

    def is_whole(self, path: Path) -> bool:
        """Whether every file is what it was when saved, without a NaN in what is learned; whole ones are read only once."""
        try:
            files = sorted((entry.name, entry.stat()) for entry in os.scandir(path))
            now = [(name, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for name, s in files]
            if self._whole.get(path) != now:
                if holds_nan(path):
                    return False
                self._whole[path] = now
            return True
        except (FileFormatError, FileNotFoundError):
            self._whole.pop(path, None)
            return False
