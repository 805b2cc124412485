"""`build`: a shared library of an exported `policy.c`; `build_wasm`: the same for a browser or Node."""

import os
from collections.abc import Sequence
from pathlib import Path

from perdure._core import MissingExtraError

from ._compile import FAST, NO_COMPILER, STRICT, compile_library, find_compiler, run_compiler, supported, zig_compiler

NATIVE = ("-march=native", "-mprefer-vector-width=512")  # compilers are shy of the widest registers
WASM_ENTRIES = ("perdure_ports", "perdure_workspace_bytes", "perdure_reset", "perdure_run", "__heap_base")


def require_compiler() -> list[str]:
    """Raises: MissingExtraError that names what to install."""
    compiler = find_compiler()
    if compiler is None:
        raise MissingExtraError(NO_COMPILER)
    return compiler


def require_wasm_compiler() -> list[str]:
    """Raises: MissingExtraError that names what to install."""
    compiler = zig_compiler()
    if compiler is None:
        raise MissingExtraError('ziglang is not installed. Install it with: pip install "perdure[c]"')
    return compiler


def existing(source: str | Path) -> Path:
    if not Path(source).is_file():
        raise FileNotFoundError(
            f"{Path(source).name} does not exist. Make it with export(policy, folder, targets=['c'])."
        )
    return Path(source)


def build(
    source: str | Path, output: str | Path | None = None, *, native: bool = True, flags: Sequence[str] = ()
) -> Path:
    """Compile `policy.c` to a shared library for `load`; beside it, unless `output` says where.

    `native=True` is for the processor of this machine only. `flags` go to the compiler, such as "-DPERDURE_LIBM".

    Raises: MissingExtraError without a C compiler, RuntimeError with the compiler's words if it fails.
    """
    source = existing(source)
    library = Path(output) if output else source.with_suffix(".dll" if os.name == "nt" else ".so")
    compiler = require_compiler()
    compile_library(source, library, compiler, [*(supported(compiler, *NATIVE) if native else ()), *flags])
    library.with_suffix(".o").unlink()
    return library


def build_wasm(source: str | Path, output: str | Path | None = None, *, simd: bool = True) -> Path:
    """Compile `policy.c` to a WebAssembly module that imports nothing; beside it, unless `output` says where.

    It exports the functions of `-DPERDURE_LIBRARY`, its `memory`, and `__heap_base`: what lies behind that address is
    free for the arrays of the caller. `simd=False` is for engines from before 2021.

    Raises: MissingExtraError without ziglang, RuntimeError with the compiler's words if it fails.
    """
    source = existing(source)
    compiler = require_wasm_compiler()
    module = Path(output) if output else source.with_suffix(".wasm")
    target = ["-target", "wasm32-wasi", "-mexec-model=reactor", "-s", *(["-msimd128"] if simd else [])]
    exports = [f"-Wl,--export={name}" for name in WASM_ENTRIES]
    run_compiler(compiler, [*STRICT, *FAST, *target, *exports, "-DPERDURE_LIBRARY", source, "-o", module])
    return module
