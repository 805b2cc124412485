"""Zip files from strangers: nothing is written to disk, and no member is larger than it says or than is allowed."""

import io
import stat
import zipfile
from pathlib import Path

from perdure._core import FileFormatError, read_bytes

MAX_MEMBERS = 10_000
MAX_BYTES = 2**31  # of all members together
MAX_RATIO = 100  # of a member's size to what it takes in the file; random weights have 1.1
SMALL = 2**20  # below this the ratio does not matter


class SafeZip:
    """The members of a zip, by name, each read when asked for.

    Raises: FileFormatError for what is no zip, and for members with one name, names that lead out of the archive, links,
    encryption, and sizes or ratios past the limits.
    """

    def __init__(self, data: bytes):
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
            members = self._zip.infolist()
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
            raise FileFormatError(f"not a zip file, or a damaged one: {str(error)[:120]}") from error
        if len(members) > MAX_MEMBERS:
            raise FileFormatError(f"{len(members)} members; at most {MAX_MEMBERS} are read.")
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in members:
            _check(member)
            if member.filename in self._members:
                raise FileFormatError(f"two members are named {member.filename[:80]!r}.")
            self._members[member.filename] = member
        if (total := sum(member.file_size for member in members)) > MAX_BYTES:
            raise FileFormatError(f"its members hold {total} bytes; at most {MAX_BYTES} are read.")

    @property
    def names(self) -> list[str]:
        return list(self._members)

    def read(self, name: str) -> bytes:
        """Raises: FileFormatError if there is no such member or its checksum is another."""
        if name not in self._members:
            raise FileFormatError(f"there is no member {name!r}; there are {', '.join(self.names)[:200]}.")
        try:
            return self._zip.read(self._members[name])
        except Exception as error:  # zipfile's own, and those of zlib, bz2 and lzma
            raise FileFormatError(f"the member {name!r} is damaged: {str(error)[:120]}") from error


def _check(member: zipfile.ZipInfo) -> None:
    name = member.filename
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in member.orig_filename:
        raise FileFormatError(f"the member {name[:80]!r} leads out of the archive.")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise FileFormatError(f"the member {name[:80]!r} is a link.")
    if member.flag_bits & 0x1:
        raise FileFormatError(f"the member {name[:80]!r} is encrypted. Save the model without a password.")
    if member.file_size > max(SMALL, MAX_RATIO * member.compress_size):
        raise FileFormatError(
            f"the member {name[:80]!r} would grow from {member.compress_size} to {member.file_size} bytes, "
            f"which is more than {MAX_RATIO}-fold."
        )


def open_zip(path: str | Path) -> SafeZip:
    """The zip at `path`.

    Raises: FileFormatError, FileNotFoundError naming the path that was tried.
    """
    return SafeZip(read_bytes(Path(path)))
