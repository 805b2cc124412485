"""`config.yml` of rl-baselines3-zoo: what a zip does not say of how its model was trained.

Only plain YAML is read. The file's one tag, `!!python/object/apply:collections.OrderedDict`, becomes a dict; values such
as `dict(norm_obs=True)` are text and stay text.
"""

import re
from pathlib import Path
from typing import Any

from perdure._core import FileFormatError, import_extra, read_bytes

MAX_BYTES = 2**16
MAX_DEPTH = 32
_ORDERED_DICT = "tag:yaml.org,2002:python/object/apply:collections.OrderedDict"
_PLAIN_WRAPPERS = ("stable_baselines3.common.monitor.Monitor",)


def read_config(path: str | Path) -> dict[str, Any]:
    """The settings of a config.yml.

    Raises: FileFormatError naming the file, for other tags, anchors that repeat, and what is no mapping;
    MissingExtraError without PyYAML.
    """
    yaml = import_extra("yaml", "sb3")
    data = read_bytes(Path(path))
    try:
        if len(data) > MAX_BYTES:
            raise FileFormatError(f"{len(data)} bytes; at most {MAX_BYTES} are read.")
        _check_events(yaml, data)
        settings = yaml.load(data, _loader(yaml))
        if not isinstance(settings, dict):
            raise FileFormatError(f"it holds a {type(settings).__name__}, not settings by name.")
    except (FileFormatError, yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        raise FileFormatError(f"{path}: {str(error)[:300]}") from error
    return settings


def _check_events(yaml: Any, data: bytes) -> None:
    """Raises: FileFormatError for what could grow without end: anchors that are used again, and deep nesting."""
    depth = 0
    for event in yaml.parse(data, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or depth > MAX_DEPTH:
            raise FileFormatError(f"an anchor is used again, or it is nested more than {MAX_DEPTH} deep.")


def _loader(yaml: Any) -> Any:
    """PyYAML's safe loader with the one tag."""

    class Loader(yaml.SafeLoader):
        pass

    def ordered(loader: Any, node: Any) -> dict[str, Any]:
        arguments = loader.construct_sequence(node, deep=True)
        pairs = arguments[0] if arguments else []
        if not all(isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs):
            raise FileFormatError("its OrderedDict does not hold pairs of a name and a value.")
        return {name: value for name, value in pairs}

    Loader.add_constructor(_ORDERED_DICT, ordered)
    return Loader


def _normalizes(value: Any) -> bool:
    """`true`, or the text of keyword arguments for VecNormalize."""
    return bool(value) and not (isinstance(value, str) and re.search(r"norm_obs['\"]?\s*[=:]\s*False", value))


def environment_notes(settings: dict[str, Any]) -> list[str]:
    """What the environment did to observations and actions before the model saw them, and still has to."""
    notes = []
    stack = settings.get("frame_stack")
    if isinstance(stack, int) and stack > 1:
        notes.append(f"trained on stacks of {stack} frames, newest last: stack them in the environment")
    wrappers = settings.get("env_wrapper") or []
    for wrapper in wrappers if isinstance(wrappers, list) else [wrappers]:
        name = next(iter(wrapper), "") if isinstance(wrapper, dict) else str(wrapper)
        if name.endswith("TimeFeatureWrapper"):
            notes.append(
                "trained with TimeFeatureWrapper: the last number of the observation is 1 - step / time limit "
                "(or a constant at test time), which the environment has to give"
            )
        elif name not in _PLAIN_WRAPPERS:
            notes.append(f"trained with the environment wrapper {name[:120]}, which is not part of the policy")
    return notes


def wants_statistics(settings: dict[str, Any]) -> bool:
    """True if the model was trained on normalised observations."""
    return _normalizes(settings.get("normalize"))
