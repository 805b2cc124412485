"""Zip files from strangers: nothing is written to disk, and no member is larger than it says or than is allowed.

`zipfile` reads the directory. It would let bzip2 and LZMA unpack all that they are given before it looks at the size, so
members are unpacked here, by libraries that stop after as many bytes as they are asked for.

Source: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.7 (local header) and 5.8.8 (LZMA).
"""

import bz2
import io
import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from perdure._core import FileFormatError, read_bytes

MAX_MEMBERS = 10_000
MAX_BYTES = 2**31  # of all members together
MAX_RATIO = 100  # of a member's size to what it takes in the file; random weights have 1.1
SMALL = 2**20  # below this the ratio does not matter
MAX_DICTIONARY = 2**28  # bytes of memory that LZMA may take
_LOCAL_HEADER, _LZMA_HEADER = 30, 9  # bytes
_HAS_END_MARKER = 0x2  # bit of the flags, for LZMA
_SIZE_NOT_SAID = b"\xff" * 8
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, struct.error, RuntimeError)


class _Unpacked(NamedTuple):
    data: bytes
    is_whole: bool  # the stream had ended


def _deflated(packed: bytes, most: int) -> _Unpacked:
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    data = stream.decompress(packed, most)
    return _Unpacked(data, stream.eof)


def _from_bzip2(packed: bytes, most: int) -> _Unpacked:
    stream = bz2.BZ2Decompressor()
    data = stream.decompress(packed, most)
    return _Unpacked(data, stream.eof)


def _from_lzma(packed: bytes, most: int, ends_by_marker: bool) -> _Unpacked:
    """A zip has the properties of an `.lzma` file behind four bytes of its own, and the size elsewhere."""
    stream = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=MAX_DICTIONARY)
    size = _SIZE_NOT_SAID if ends_by_marker else struct.pack("<Q", most - 1)
    data = stream.decompress(packed[4:_LZMA_HEADER] + size + packed[_LZMA_HEADER:], most)
    return _Unpacked(data, stream.eof)


def _unpack(packed: bytes, member: zipfile.ZipInfo) -> bytes:
    """What a member holds.

    Raises: FileFormatError if that is not as many bytes as it says, none of which are made beyond the first too many.
    """
    most = member.file_size + 1  # one more than is right, so that too many are seen; 0 would mean no limit
    by_marker = bool(member.flag_bits & _HAS_END_MARKER)
    methods: dict[int, Callable[[], _Unpacked]] = {
        zipfile.ZIP_STORED: lambda: _Unpacked(packed[:most], True),
        zipfile.ZIP_DEFLATED: lambda: _deflated(packed, most),
        zipfile.ZIP_BZIP2: lambda: _from_bzip2(packed, most),
        zipfile.ZIP_LZMA: lambda: _from_lzma(packed, most, by_marker),
    }
    if member.compress_type not in methods:
        raise FileFormatError(f"it is packed by method {member.compress_type}. Pack it by deflate, as zip does.")
    data, is_whole = methods[member.compress_type]()
    if len(data) > member.file_size:
        raise FileFormatError(f"it says {member.file_size} bytes, but there are more.")
    if len(data) < member.file_size or not is_whole:
        raise FileFormatError(f"it says {member.file_size} bytes, but there are {len(data)}, or no end.")
    if zlib.crc32(data) != member.CRC:
        raise FileFormatError("its checksum is another.")
    return data


class SafeZip:
    """The members of a zip, by name, each read when asked for.

    Raises: FileFormatError for what is no zip, and for members with one name, names that lead out of the archive, links,
    encryption, and sizes or ratios past the limits.
    """

    def __init__(self, data: bytes):
        self._data = data
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
            members = self._zip.infolist()
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
            if data.startswith(_LFS_POINTER):
                raise FileFormatError(
                    "a pointer of Git LFS, which stands for the file and is not it. Get that with: git lfs pull"
                ) from error
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

    def packed_size(self, name: str) -> int:
        """How many bytes a member takes in the file."""
        return self._members[name].compress_size

    @property
    def names(self) -> list[str]:
        return list(self._members)

    def read(self, name: str) -> bytes:
        """Raises: FileFormatError if there is no such member or its checksum is another."""
        if name not in self._members:
            raise FileFormatError(f"there is no member {name[:80]!r}; there are {', '.join(self.names)[:200]}.")
        member = self._members[name]
        try:
            with self._zip.open(member):  # compares the header before the member with the directory
                return _unpack(self._packed(member), member)
        except (FileFormatError, NotImplementedError, MemoryError, *_BROKEN) as error:
            raise FileFormatError(f"the member {name[:80]!r} is damaged: {str(error)[:120]}") from error

    def _packed(self, member: zipfile.ZipInfo) -> bytes:
        """Raises: FileFormatError if the file ends before it."""
        at = member.header_offset
        name_length, extra_length = struct.unpack("<HH", self._data[at + 26 : at + _LOCAL_HEADER])
        begin = at + _LOCAL_HEADER + name_length + extra_length
        packed = self._data[begin : begin + member.compress_size]
        if len(packed) != member.compress_size:
            raise FileFormatError(f"{member.compress_size} bytes, of which {len(packed)} are there.")
        return packed


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
