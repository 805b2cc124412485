"""The importers by name: ours, and those of installed packages, as `perdure import` finds them.

A package offers one under the entry point group `perdure.importers`, which names a function with the decorator `importer`.
"""

import functools
import inspect
import warnings
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import NamedTuple, ParamSpec

from perdure.policy import AbstractPolicy

from ._report import ImportedPolicy

GROUP = "perdure.importers"
Settings = ParamSpec("Settings")
Read = Callable[Settings, ImportedPolicy]


class Importer(NamedTuple):
    name: str  # what `perdure import` takes: "sb3"
    source: str  # what it reads: "a zip file of Stable-Baselines3, sb3-contrib or SBX"
    read: Callable[..., ImportedPolicy]  # of a path, and settings by name
    options: Mapping[str, str]  # the settings that the command line offers, and what each of them means


_COMMAND = ("library", "out", "force")  # what `perdure import` asks for every importer
_IMPORTERS: dict[str, Importer] = {}


def _is_option(setting: inspect.Parameter) -> bool:
    is_unset = setting.default is None or setting.default is False
    return is_unset and setting.annotation is not setting.empty and setting.name not in _COMMAND


def importer(name: str, source: str, **options: str) -> Callable[[Read[Settings]], Read[Settings]]:
    """Decorator of a function that gives an ImportedPolicy for a path, so that `perdure import name path` calls it.

    `options` are the settings of the function that the command line offers, with what each of them means. They have a type,
    are None or False where they are not given, and are not called as the command line's own.

    Raises: ValueError if the name is taken, or an option is no such setting.
    """

    def add(read: Read[Settings]) -> Read[Settings]:
        settings = [n for n, p in inspect.signature(read, eval_str=True).parameters.items() if _is_option(p)]
        if unknown := sorted(options.keys() - set(settings)):
            raise ValueError(
                f"importer {name!r}: {unknown[0]!r} is no setting of {read.__name__} with a type and the default None or "
                f"False, and another name than {', '.join(_COMMAND)}. Its settings are {', '.join(settings) or 'none'}."
            )
        if name in _IMPORTERS and _IMPORTERS[name].read.__module__ != read.__module__:
            raise ValueError(
                f"importer {name!r} is that of {_IMPORTERS[name].read.__module__} already. Take another name."
            )
        _IMPORTERS[name] = Importer(name, source, read, options)
        return read

    return add


def loader(read: Read[Settings]) -> Callable[Settings, AbstractPolicy]:
    """`load_x` of a `read_x`: the policy alone, after a warning for each note of its report."""

    @functools.wraps(read)
    def load(*args: Settings.args, **kwargs: Settings.kwargs) -> AbstractPolicy:
        policy, report = read(*args, **kwargs)
        for note in report.notes:
            warnings.warn(f"{report.file}: {note}.", stacklevel=2)
        return policy

    load.__name__ = load.__qualname__ = read.__name__.replace("read_", "load_")
    warns = f"Warns: UserWarning for what the user has to know; `{read.__name__}` gives it as a report."
    load.__doc__ = f"{inspect.cleandoc(read.__doc__ or '')}\n{warns}"
    load.__annotations__ = {**read.__annotations__, "return": AbstractPolicy}
    load.__signature__ = inspect.signature(read).replace(return_annotation=AbstractPolicy)  # type: ignore[attr-defined]
    return load


@functools.cache
def _find() -> None:
    for point in entry_points(group=GROUP):
        try:
            point.load()
        except Exception as error:  # of a stranger's package, which is not to stop ours
            warnings.warn(f"the importer {point.name!r} ({point.value}) cannot be loaded: {error}", stacklevel=3)


def importers() -> dict[str, Importer]:
    """All that are there, by name.

    Warns: UserWarning for one of an installed package that cannot be loaded.
    """
    _find()
    return dict(sorted(_IMPORTERS.items()))
