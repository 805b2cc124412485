"""JSON that a stranger wrote, read with types: each value knows where it stands, so each fault names file and field."""

import dataclasses
import re
from collections.abc import Iterator, Sequence

from perdure._core import FileFormatError

SHOWN = 80  # characters of a stranger's text in a message
MAX_TEXT = 1000


def shown(value: object) -> str:
    """A value for a message: short, on one line, whatever it is."""
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    text = repr(value[:SHOWN]) if isinstance(value, str) else repr(value)[:SHOWN]
    return f"{text}..." if isinstance(value, str) and len(value) > SHOWN else text


@dataclasses.dataclass(frozen=True)
class Place:
    """A value and its path in the file. Every reading method raises FileFormatError for a value of another type."""

    file: str
    path: str
    value: object

    def fault(self, wanted: str) -> FileFormatError:
        return FileFormatError(
            f"{self.file}: {self.path or 'it'} is {shown(self.value)}, wanted {wanted}. Export the policy again."
        )

    def members(self) -> dict[str, "Place"]:
        """Of an object, by key."""
        if not isinstance(self.value, dict):
            raise self.fault("an object")
        start = f"{self.path}." if self.path else ""
        return {
            key: Place(self.file, start + (key if key.isidentifier() and len(key) <= SHOWN else shown(key)), value)
            for key, value in self.value.items()
        }

    def fields(self, names: Sequence[str], optional: Sequence[str] | None = ()) -> dict[str, "Place"]:
        """Of an object that has these keys; further ones only where `optional` names them, or is None for any."""
        found = self.members()
        start = f"{self.path}." if self.path else ""
        for name in names:
            if name not in found:
                raise FileFormatError(f"{self.file}: {start}{name} is missing. Export the policy again.")
        unknown = [] if optional is None else [key for key in found if key not in names and key not in optional]
        if unknown:
            raise FileFormatError(
                f"{self.file}: {self.path or 'it'} has the unknown field {shown(unknown[0])}. Update perdure, or export "
                "the policy again."
            )
        return found

    def items(self) -> Iterator["Place"]:
        """Of a list."""
        if not isinstance(self.value, list):
            raise self.fault("a list")
        return (Place(self.file, f"{self.path}[{i}]", value) for i, value in enumerate(self.value))

    def text(self, most: int = MAX_TEXT) -> str:
        """Text that a terminal can show as it is."""
        if not isinstance(self.value, str) or len(self.value) > most or not self.value.isprintable():
            raise self.fault(f"printable text of at most {most} characters")
        return self.value

    def one_of(self, known: Sequence[str]) -> str:
        if not isinstance(self.value, str) or self.value not in known:
            raise self.fault(f"one of {', '.join(known)}")
        return self.value

    def digest(self) -> str:
        """A SHA-256."""
        if not isinstance(self.value, str) or not re.fullmatch("[0-9a-f]{64}", self.value):
            raise self.fault("64 hexadecimal digits")
        return self.value

    def count(self) -> int:
        if not isinstance(self.value, int) or isinstance(self.value, bool) or self.value < 0:
            raise self.fault("a whole number, 0 or more")
        return self.value

    def number(self) -> float:
        if not isinstance(self.value, int | float) or isinstance(self.value, bool):
            raise self.fault("a number")
        return float(self.value)

    def flag(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.fault("true or false")
        return self.value
