"""Configurations beside a model, in YAML: plain values only.

The one tag that is read, `!!python/object/apply:collections.OrderedDict`, becomes a dict; values such as
`dict(norm_obs=True)` are text and stay text.
"""

from pathlib import Path
from types import ModuleType

from perdure._core import FileFormatError, import_extra, read_bytes

from ._report import naming

MAX_BYTES = 2**16
MAX_DEPTH = 32
_ORDERED_DICT = "tag:yaml.org,2002:python/object/apply:collections.OrderedDict"


def read_yaml(path: str | Path) -> dict[str, object]:
    """The settings in a file.

    Raises: FileFormatError naming the file, for other tags, anchors that repeat, and what is no mapping;
    MissingExtraError without PyYAML.
    """
    yaml = import_extra("yaml", "sb3")
    data = read_bytes(Path(path))
    with naming(path, yaml.YAMLError, RecursionError, ValueError, TypeError):
        if len(data) > MAX_BYTES:
            raise FileFormatError(f"{len(data)} bytes; at most {MAX_BYTES} are read.")
        _check_events(yaml, data)
        settings = yaml.load(data, _loader(yaml))
        if not isinstance(settings, dict):
            raise FileFormatError(f"it holds a {type(settings).__name__}, not settings by name.")
    return settings


def _check_events(yaml: ModuleType, data: bytes) -> None:
    """Raises: FileFormatError for what could grow without end: anchors that are used again, and deep nesting."""
    depth = 0
    for event in yaml.parse(data, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or depth > MAX_DEPTH:
            raise FileFormatError(f"an anchor is used again, or it is nested more than {MAX_DEPTH} deep.")


def _loader(yaml: ModuleType) -> type:
    """PyYAML's safe loader with the one tag."""

    class Loader(yaml.SafeLoader):  # type: ignore[name-defined]
        pass

    Loader.add_constructor(_ORDERED_DICT, lambda loader, node: _dict_of(loader.construct_sequence(node, deep=True)))
    return Loader


def _dict_of(arguments: list[object]) -> dict[str, object]:
    """Of OrderedDict's arguments: a list of pairs, or none."""
    settings = {}
    for pair in arguments[0] if arguments and isinstance(arguments[0], list) else arguments:
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str):
            raise FileFormatError("its OrderedDict does not hold pairs of a name and a value.")
        settings[pair[0]] = pair[1]
    return settings
