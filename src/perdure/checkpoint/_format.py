"""The format numbers of files: which this version reads, and what to do about the others."""

import re
from collections.abc import Sequence
from typing import Any

from perdure._core import FileFormatError, LaterFormatError


def check_format(found: Any, known: Sequence[str], written_by: Any) -> None:
    """Check that a file's format, such as "perdure.policy/1", is one of the `known` ones, of which the last is the newest.

    Raises: FileFormatError; where the number is a later one, a LaterFormatError with the version to install: that which wrote
    the file, or the newest, if the file does not tell it.
    """
    if found in known:
        return
    name, number = known[-1].split("/")
    later = re.fullmatch(rf"{re.escape(name)}/(\d{{1,9}})", found) if isinstance(found, str) else None
    if later is None or int(later[1]) < int(number):
        told = f"format {str(found)[:40]!r} is not known to this version" if found else "it tells no format"
        raise FileFormatError(f"{told}; this version reads {' and '.join(known)}.")
    is_version = isinstance(written_by, str) and re.fullmatch(r"[0-9][0-9a-z.+]{0,30}", written_by)
    wanted = f'"perdure>={written_by}"' if is_version else "--upgrade perdure"
    raise LaterFormatError(
        f"format {found[:40]!r} is newer than this version, which reads {' and '.join(known)}. "
        f"Install a newer one: pip install {wanted}"
    )
