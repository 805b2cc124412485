"""Many checkpoints in one folder: the newest that is whole, and which of them to keep."""

import math
import os
import secrets
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from perdure._core import LEFTOVER, FileFormatError, LaterFormatError, aside, check_counts, locked, remove, tidy

from ._directory import holds_nan, verify
from ._free import foreign_in
from ._metadata import FILES, METADATA, read_metadata

BROKEN = "broken"  # the folder that broken checkpoints are moved to
PATIENCE = 1000  # how often a folder is listed that changes each time
RETURN = "episode_return"  # in the metadata of a checkpoint: what `keep_best` goes by


class Found(NamedTuple):
    """A checkpoint in a folder, by what its `metadata.json` says."""

    path: Path
    steps: int
    mean_return: float | None


class Listing(NamedTuple):
    """What lies in a folder of checkpoints, by each one's `metadata.json`."""

    found: list[Found]  # oldest first by environment steps, then by age
    broken: dict[Path, str]  # with what is wrong
    unread: dict[Path, Exception]  # of a later format, or not given by the disk: may be whole
    has_changed: bool  # one went away meanwhile
    is_unfinished: bool  # somebody writes, removes or exchanges one just now, or a crash left that


def listing(folder: Path) -> Listing:
    """The checkpoints in a folder. Their other files are not read."""
    found, broken, has_changed, names = [], {}, False, sorted(os.listdir(folder))
    unread: dict[Path, Exception] = {}
    for path in (folder / name for name in names if not name.startswith(".") and name != BROKEN):
        try:
            head, age = read_metadata(path), os.stat(path / METADATA).st_mtime_ns
        except LaterFormatError as error:
            unread[path] = error
        except (FileFormatError, FileNotFoundError) as error:
            inside = names_in(path)
            has_changed |= inside is None
            if any(name == METADATA or name.endswith(".safetensors") for name in inside or ()):
                broken[path] = str(error)
        except OSError as error:
            unread[path] = error
        else:
            value = head["metadata"].get(RETURN)
            found.append((head["steps"], age, Found(path, head["steps"], value if is_finite(value) else None)))
    ordered = [one for *_, one in sorted(found, key=lambda entry: entry[:2])]
    return Listing(ordered, broken, unread, has_changed, any(map(LEFTOVER.fullmatch, names)))


def names_in(path: Path) -> list[str] | None:
    """The names in a directory, none in a file; None where nothing is any more."""
    try:
        return os.listdir(path)
    except NotADirectoryError:
        return []
    except FileNotFoundError:
        return [] if path.is_symlink() else None


def checkpoints_in(folder: str | Path) -> tuple[list[Found], dict[Path, str]]:
    """The checkpoints in a folder, oldest first by environment steps, then by age; and those whose `metadata.json` is broken
    or of a later format, with what is wrong. Their other files are not read.
    """
    there = listing(Path(folder))
    return there.found, there.broken | {path: str(error) for path, error in there.unread.items()}


def is_finite(value: object) -> bool:
    """True for a number that others can be compared with."""
    return isinstance(value, int | float) and math.isfinite(value)


def latest(folder: str | Path) -> Path | None:
    """The newest checkpoint in a folder, of those that are whole; None if there is none.

    Every file of it is read and compared with its digest. Broken ones that are met on the way are moved to `broken/` in the
    same folder, with a warning that says why; nothing is deleted but what a crash left unfinished. Those of a later format,
    or that the disk does not give, are passed over with a warning and stay where they are. Others may save to the folder and
    remove from it meanwhile: it is listed again then.

    Raises: FileNotFoundError if there is no such folder; where all that may be whole cannot be read, why: a FileFormatError
    with the version to install, or an OSError.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {str(folder)!r}. Check the name.")
    for patience in range(PATIENCE):
        with suppress(OSError):
            tidy(folder)
        there = listing(folder)
        for path in there.broken:
            set_aside(path)
        newest, has_changed = newest_whole(there)
        if newest is not None or not (has_changed or (there.is_unfinished and patience < 20)):
            break
        time.sleep(0.01 if there.is_unfinished else 0)
    for path, error in there.unread.items():
        if newest is None:
            raise error
        warnings.warn(f"a checkpoint was passed over: {path} cannot be read. {error}", stacklevel=2)
    return newest


def newest_whole(there: Listing) -> tuple[Path | None, bool]:
    """The newest that is whole; and whether one was removed or replaced meanwhile. What the disk does not give is `unread`."""
    has_changed = there.has_changed
    for one in reversed(there.found):
        try:
            verify(one.path)
            return one.path, has_changed
        except FileFormatError:
            has_changed |= not set_aside(one.path)
        except FileNotFoundError:
            has_changed = True
        except OSError as error:
            there.unread[one.path] = error
    return None, has_changed


def set_aside(path: Path) -> bool:
    """Move a checkpoint to `broken/` beside it, with a warning; False if it is not broken any more, or not there.

    Where others are writing, or on a disk that is only read, it stays where it is.
    """
    with locked(path.parent, shared=False) as alone:
        why = broken_for(path)  # another process may have put a whole one in its place
        if why is None:
            return False
        place = path.parent / BROKEN / path.name
        with suppress(OSError):
            if alone:
                place.parent.mkdir(exist_ok=True)
                if os.path.lexists(place):
                    place = place.with_name(f"{path.name}-{secrets.token_hex(3)}")
                os.rename(path, place)
                path = place
    warnings.warn(f"a broken checkpoint was passed over; it is in {path}. {why}", stacklevel=3)
    return True


def broken_for(path: Path) -> str | None:
    """What is wrong with a checkpoint; None if nothing is, or it cannot be told."""
    try:
        verify(path)
    except LaterFormatError:
        return None
    except FileFormatError as error:
        return str(error)
    except FileNotFoundError as error:
        return str(error) if names_in(path) else None
    except OSError:
        return None
    return None


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
        """Remove the checkpoints that are not to stay. Broken ones are left to `latest`, and so is what holds files of others."""
        if self.keep_last is None and self.keep_best is None and self.keep_every is None:
            return
        found, _ = checkpoints_in(folder)
        going = [one for one in found if one not in self.kept(found)]
        with locked(folder, shared=True):
            for one in going:
                hidden = aside(one.path, "tmp")  # half of it is not to be found as a checkpoint
                with suppress(FileNotFoundError):
                    if not foreign_in(one.path, FILES):
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
