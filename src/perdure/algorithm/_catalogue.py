"""The algorithms that there are: ours, and whatever else is registered."""

import importlib.metadata
import re
import warnings

from perdure._core import registered_classes

from ._base import AbstractAlgorithm

ENTRY_POINTS = "perdure.algorithms"


def name_of_algorithm(algorithm: type[AbstractAlgorithm]) -> str:
    """Its `name`, or the name of its class in lower case with hyphens between words: `MyPPO` is `my-ppo`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", algorithm.__name__)
    return algorithm.name or words.lower()


def registered_algorithms() -> dict[str, type[AbstractAlgorithm]]:
    """Every registered algorithm by its name, in alphabetical order; ours keep theirs whoever else takes one of them.

    An algorithm of your own is among them once its module is imported: it derives from `AbstractOnPolicy` or
    `AbstractOffPolicy` and is registered with `perdure.utils.register`.
    """
    found: dict[str, type[AbstractAlgorithm]] = {}
    for cls in registered_classes(AbstractAlgorithm).values():  # type: ignore[type-abstract]
        name = name_of_algorithm(cls)
        if not getattr(cls, "__abstractmethods__", None) and (name not in found or is_ours(cls)):
            found[name] = cls
    return dict(sorted(found.items()))


def is_ours(algorithm: type[AbstractAlgorithm]) -> bool:
    return algorithm.__module__.startswith("perdure.algorithm.")


def load_installed_algorithms() -> None:
    """Import what installed packages name under the entry points `perdure.algorithms`, so that it is registered.

    A package declares a module or a class of it: `[project.entry-points."perdure.algorithms"]`, `my-ppo = "mine:MyPPO"`.
    One that cannot be imported is left out, with a warning that names it.
    """
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        try:
            entry.load()
        except Exception as error:  # whatever a stranger's module does must not keep the others from training
            warnings.warn(
                f"The algorithm {entry.name} of {entry.dist.name if entry.dist else entry.value} cannot be imported: "
                f"{type(error).__name__}: {error}",
                stacklevel=2,
            )
