"""JSON for files: one canonical form when written, limits and no loopholes when read."""

import json
import re
from typing import Any

from ._errors import FileFormatError

MAX_BYTES = 16 * 2**20
MAX_DEPTH = 320  # a description nests up to four brackets a level
MAX_VALUES = 2**18  # keys and values; of a hundred bytes of memory each, where the text needs two or three
MAX_MARKS = 2**21  # quotation marks and backslashes, which take the longest to read
# Takes each string in one go, also one that never ends, so that no text makes it slow.
_STRINGS = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKETS = re.compile(r"[\[\]{}]")


def dumps_json(value: Any) -> bytes:
    """`value` as ASCII JSON with sorted keys and no spaces: equal values give equal bytes.

    Raises: ValueError for NaN and infinities, TypeError for what JSON does not have.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def _check_size(text: str, max_depth: int, max_values: int) -> None:
    """Refuse what would take much time or memory to parse."""
    marks = text.count('"') + text.count("\\")
    if marks > MAX_MARKS:
        raise FileFormatError(f"JSON with {marks} quotation marks and backslashes; at most {MAX_MARKS} are read.")
    bare = _STRINGS.sub("", text)
    opened, closed = bare.count("[") + bare.count("{"), bare.count("]") + bare.count("}")
    values = bare.count(",") + bare.count(":") + max(opened, closed)
    if values > max_values:
        raise FileFormatError(f"JSON of {values} keys and values; at most {max_values} are read.")
    depth = deepest = 0
    for bracket in _BRACKETS.finditer(bare):
        depth += 1 if bracket.group() in "[{" else -1
        deepest = max(deepest, depth)
    if deepest > max_depth:
        raise FileFormatError(f"JSON nested {deepest} deep; at most {max_depth} is read.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        twice = next(name for name, _ in pairs if members.pop(name, pairs) is pairs)
        raise FileFormatError(f"JSON object has the key {twice[:80]!r} twice.")
    return members


def _no_constant(literal: str) -> Any:
    raise FileFormatError(f"JSON holds {literal}, which is not a JSON number.")


def _int(literal: str) -> int:
    if len(literal) > 20:
        raise FileFormatError(f"JSON integer of {len(literal)} characters; at most 20 are read.")
    return int(literal)


def _float(literal: str) -> float:
    value = float(literal) if len(literal) <= 64 else float("inf")
    if value in (float("inf"), float("-inf")):
        raise FileFormatError(f"JSON number {literal[:24]} is too long or too large for a float64.")
    return value


def loads_json(
    data: bytes | str,
    *,
    max_bytes: int = MAX_BYTES,
    max_depth: int = MAX_DEPTH,
    max_values: int = MAX_VALUES,
    allow_nan: bool = False,
) -> Any:
    """The value of a JSON text from an untrusted file.

    `allow_nan` takes NaN, Infinity and -Infinity, which Python writes and JSON does not have.

    Raises: FileFormatError for more than `max_bytes`, `max_depth`, `max_values` or another of the limits above, duplicate keys,
    NaN or infinities (also by overflow), integers of more than 20 characters, lone surrogates, and what is no UTF-8 or JSON.
    """
    if len(data) > max_bytes:
        raise FileFormatError(f"JSON of {len(data)} bytes; at most {max_bytes} are read.")
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        _check_size(text, max_depth, max_values)
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=float if allow_nan else _no_constant,
            parse_int=_int,
            parse_float=_float,
        )
        if "\\ud" in text.lower():  # the one way to a string that has no UTF-8
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except FileFormatError:
        raise
    except (ValueError, RecursionError) as error:  # includes JSONDecodeError, UnicodeDecodeError, UnicodeEncodeError
        raise FileFormatError(f"JSON cannot be read: {error.__class__.__name__} {str(error)[:120]}") from error
    return value


def readable(value: Any, *, max_values: int = MAX_VALUES) -> Any:
    """`value` as `loads_json` will give it back: a copy.

    Raises: ValueError for what would be written but not read again, such as very long integers; as `dumps_json`.
    """
    try:
        return loads_json(
            dumps_json(value), max_bytes=MAX_BYTES - 4096, max_values=max_values
        )  # a file adds a few digests to it
    except FileFormatError as error:
        raise ValueError(f"this would be saved, but not read again: {error} Shorten it, or make it text.") from error
