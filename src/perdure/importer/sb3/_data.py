"""The fields of a model: the member `data` of a zip, JSON in which what JSON has not is a pickle in base64.

Source: stable_baselines3/common/save_util.py, `data_to_json`, of SB3 2.9. The readable copies beside a pickle are cut off
and rounded, so they are not used.
"""

import base64

from perdure._core import FileFormatError, loads_json

from .._pickle import Global, Node, read_pickle
from .._values import mapping_of, name_of

MAX_BYTES = 2**28
_PICKLED = ":serialized:"


class Fields:
    """Settings by name; a pickled one becomes the node that it is, or a plain value.

    Raises: FileFormatError if `text` is no JSON object.
    """

    def __init__(self, text: bytes, where: str = "data"):
        self._where = where
        fields = loads_json(text, max_bytes=MAX_BYTES, allow_nan=True)
        if not isinstance(fields, dict):
            raise FileFormatError(f"{where} is a {type(fields).__name__}, not a JSON object.")
        self._fields = fields

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def is_set(self, name: str) -> bool:
        """True if the field is there and not null; a pickled one is not looked into."""
        return self._fields.get(name) is not None

    def get(self, name: str, default: Node = None) -> Node:
        """Raises: FileFormatError if it is a pickle that cannot be read."""
        value = self._fields.get(name, default)
        if not (isinstance(value, dict) and _PICKLED in value):
            return value
        try:
            return read_pickle(base64.b64decode(value[_PICKLED], validate=True))
        except (FileFormatError, ValueError, TypeError) as error:
            raise FileFormatError(f"{self._where}: {name}: {str(error)[:200]}") from error

    def mapping(self, name: str) -> dict[str, Node]:
        """A field that is a dict, empty where it is absent."""
        return mapping_of(self.get(name) or {})

    def class_name(self, name: str) -> str:
        """The dotted name of a field that is a class.

        Raises: FileFormatError if it is absent or something else.
        """
        node = self.get(name)
        path = name_of(node)
        if not isinstance(node, Global) and "." not in path:
            raise FileFormatError(f"{self._where}: {name} is no class but {path[:80]!r}.")
        return path
