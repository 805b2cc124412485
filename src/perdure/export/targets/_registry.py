"""Which targets there are: ours, and those that other installed packages have.

Another package names its target in its own metadata, here in pyproject.toml; the value is a `Target`:

    [project.entry-points."perdure.targets"]
    my-target = "my_package.target:TARGET"

Ours are looked up first, so none can take their names. What other packages have is imported only where it is asked for.
"""

import difflib
import warnings
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points

from perdure._core import ExportError
from perdure.export.precision import FLOAT16, FLOAT32, INT8

from ._record import Target
from .c import C_INT8, C
from .onnx import ONNX
from .stablehlo import STABLEHLO
from .tfjs import TFJS
from .tflite import TFLITE, TFLITE_FLOAT16, TFLITE_INT8
from .torch import TORCH_EXPORT, TORCHSCRIPT
from .triton import TRITON
from .web import WEB
from .weights import WEIGHTS

GROUP = "perdure.targets"
OURS = (
    *(ONNX, C, WEIGHTS, STABLEHLO, TFLITE, TFLITE_FLOAT16, TFLITE_INT8, C_INT8),
    *(TORCHSCRIPT, TORCH_EXPORT, TFJS, WEB, TRITON),
)
TARGETS = {target.name: target for target in OURS}


def package_of(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value


def of_other_packages() -> dict[str, EntryPoint]:
    """By name. One that has a name of ours, or of a package before it, is left out with a warning."""
    found: dict[str, EntryPoint] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda p: (p.name, p.value)):
        holder = "Perdure" if point.name in TARGETS else package_of(found[point.name]) if point.name in found else None
        if holder is None:
            found[point.name] = point
        elif point.name in TARGETS or point.value != found[point.name].value:
            warnings.warn(
                f"The target {point.name!r} of {package_of(point)} is left out: {holder} has one of that name. "
                "Its package has to choose another.",
                stacklevel=2,
            )
    return found


def load_target(point: EntryPoint) -> Target:
    """Raises: ExportError that names the package if it does not give a target of that name."""
    start = f"the target {point.name!r} of {package_of(point)}"
    try:
        target = point.load()
    except Exception as error:
        raise ExportError(
            f"{start} does not load: {type(error).__name__}: {error}. Update or remove that package."
        ) from error
    if not isinstance(target, Target):
        raise ExportError(f"{start} is {type(target).__name__}, not a perdure.export.targets.Target. Tell its authors.")
    if target.name != point.name:
        raise ExportError(f"{start} calls itself {target.name!r}. Both names have to be one; tell its authors.")
    if target.precision not in (FLOAT32, FLOAT16, INT8):
        raise ExportError(
            f"{start} has precision {target.precision!r}, not float32, float16 or int8. Tell its authors."
        )
    if not target.runner.is_file():
        raise ExportError(
            f"{start} has the runner {target.runner.name!r}, which is not in its package. Tell its authors."
        )
    return target


def find_target(name: str) -> Target | None:
    """The target of that name; None if no installed package has it. Raises: what `load_target` raises."""
    if name in TARGETS:
        return TARGETS[name]
    point = of_other_packages().get(name)
    return None if point is None else load_target(point)


def writable_targets() -> list[Target]:
    """Those whose writers are installed. One of another package that does not load is told by a warning."""
    found = list(TARGETS.values())
    for point in of_other_packages().values():
        try:
            found.append(load_target(point))
        except ExportError as error:
            warnings.warn(str(error), stacklevel=2)
    return [target for target in found if target.can_be_written()]


def find_targets(names: Sequence[str]) -> list[Target]:
    """The targets by their names; "all" are those whose writers are installed.

    Raises: ValueError for an unknown name, ExportError for a target of another package that does not load.
    """
    if names == "all" or "all" in tuple(names):
        return writable_targets()
    if isinstance(names, str) or not names:
        raise ValueError(f"targets is {names!r}, but it is a list of names, or 'all'. Known: {', '.join(TARGETS)}.")
    found: dict[str, Target] = {}
    for name in names:
        target = find_target(name)
        if target is None:
            known = [*TARGETS, *of_other_packages()]
            close = difflib.get_close_matches(name, known, 1, cutoff=0.4)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"targets has {name!r}, which is no known target.{hint} Known: {', '.join(known)}.")
        found[name] = target
    return list(found.values())
