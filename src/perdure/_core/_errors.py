"""The few exception classes of our own, and the import of optional libraries.

Everything else is a `ValueError` (a value) or a `TypeError` (a kind). Each message names the field, what was found, what
was wanted and the mend.
"""

import importlib
from pathlib import Path
from types import ModuleType


class FileFormatError(ValueError):
    """A file is damaged, truncated, foreign, or of a format number that this version does not know."""


class LaterFormatError(FileFormatError):
    """A file of a format number that a later version writes; the message says which version to install."""


class FingerprintError(ValueError):
    """A file holds another structure than the one it is loaded into; the message names the fields that differ."""


class SaveError(OSError):
    """A disk refused a save, for the reason in `errno`; the message says what is there now."""


def save_error(path: Path, error: OSError, *, in_place: bool) -> SaveError:
    """What a disk's refusal means for what was to be saved at `path`."""
    now = "It is in place, but may not outlast a power failure" if in_place else "What was there before is unchanged"
    return SaveError(error.errno, f"saving {path} failed: {error.strerror or error}. {now}")


class NonFiniteError(ValueError):
    """A number is NaN or infinite where only finite ones lead anywhere: in a training, or in a policy to save or evaluate."""


class ExportError(ValueError):
    """A policy cannot be exported, or its export did not prove equal; nothing was written."""


class MissingExtraError(ImportError):
    """An optional library is needed and absent; the message has the `pip install` line."""


def import_extra(module: str, extra: str) -> ModuleType:
    """Import an optional library, named as in `import module`, that the extra `perdure[extra]` installs.

    Raises: MissingExtraError with the line that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingExtraError(
            f'{module} is not installed. Install it with: pip install "perdure[{extra}]"', name=error.name
        ) from error
