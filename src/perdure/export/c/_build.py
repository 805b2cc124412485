"""`build`: a shared library of an exported `policy.c`."""

import os
from collections.abc import Sequence
from pathlib import Path

from perdure._core import MissingExtraError

from ._compile import NO_COMPILER, compile_library, find_compiler, supported


def require_compiler() -> list[str]:
    """Raises: MissingExtraError that names what to install."""
    compiler = find_compiler()
    if compiler is None:
        raise MissingExtraError(NO_COMPILER)
    return compiler


def build(
    source: str | Path, output: str | Path | None = None, *, native: bool = True, flags: Sequence[str] = ()
) -> Path:
    """Compile `policy.c` to a shared library for `load`; beside it, unless `output` says where.

    `native=True` is for the processor of this machine only. `flags` go to the compiler, such as "-DPERDURE_LIBM".

    Raises: MissingExtraError without a C compiler, RuntimeError with the compiler's words if it fails.
    """
    source = Path(source)
    if not source.is_file():
        raise FileNotFoundError(f"{source.name} does not exist. Make it with export(policy, folder, targets=['c']).")
    library = Path(output) if output else source.with_suffix(".dll" if os.name == "nt" else ".so")
    compiler = require_compiler()
    compile_library(source, library, compiler, [*(supported(compiler, "-march=native") if native else ()), *flags])
    library.with_suffix(".o").unlink()
    return library
