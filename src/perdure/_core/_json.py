"""JSON for files: one canonical form when written, limits and no loopholes when read."""

import json
import re
from typing import Any

from ._errors import FileFormatError

MAX_BYTES = 16 * 2**20
MAX_DEPTH = 320  # a description nests up to four brackets a level
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETS = re.compile(r"[\[\]{}]")


def dumps_json(value: Any) -> bytes:
    """`value` as ASCII JSON with sorted keys and no spaces: equal values give equal bytes.

    Raises: ValueError for NaN and infinities, TypeError for what JSON does not have.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def _depth(text: str) -> int:
    depth = deepest = 0
    for bracket in _BRACKETS.finditer(_STRINGS.sub("", text)):
        depth += 1 if bracket.group() in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
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


def loads_json(data: bytes | str, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Any:
    """The value of a JSON text from an untrusted file.

    Raises: FileFormatError for more than `max_bytes` or `max_depth`, duplicate keys, NaN or infinities (also by
    overflow), integers of more than 20 characters, lone surrogates, and whatever is not UTF-8 or not JSON.
    """
    if len(data) > max_bytes:
        raise FileFormatError(f"JSON of {len(data)} bytes; at most {max_bytes} are read.")
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        if (depth := _depth(text)) > max_depth:
            raise FileFormatError(f"JSON nested {depth} deep; at most {max_depth} is read.")
        value = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_int, parse_float=_float
        )
        if "\\ud" in text.lower():  # the one way to a string that has no UTF-8
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except FileFormatError:
        raise
    except (ValueError, RecursionError) as error:  # includes JSONDecodeError, UnicodeDecodeError, UnicodeEncodeError
        raise FileFormatError(f"JSON cannot be read: {error.__class__.__name__} {str(error)[:120]}") from error
    return value
