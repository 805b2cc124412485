"""Finding a C compiler, and what is built with it. Needs the standard library alone: the runner of the proof uses it too."""

import importlib.util
import os
import shlex
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic")
FAST = ("-O3", "-ffp-contract=fast")  # never -ffast-math, which would take the checks for NaN away
TIMEOUT_SECONDS = 600
NO_COMPILER = (
    'There is no C compiler. Install one: pip install "perdure[c]" (ziglang, for any system), or gcc or clang from your '
    "system; or name one in the environment variable CC."
)


def find_compiler() -> list[str] | None:
    """The command of a C compiler: what CC names, else cc, gcc or clang, else ziglang from PyPI."""
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    for name in ("cc", "gcc", "clang"):
        if (found := shutil.which(name)) is not None:
            return [found]
    return zig_compiler()


def zig_compiler() -> list[str] | None:
    return [sys.executable, "-m", "ziglang", "cc"] if importlib.util.find_spec("ziglang") else None


def run_compiler(compiler: Sequence[str], arguments: Sequence[str | Path]) -> str:
    """What it prints.

    Raises: RuntimeError with its first error.
    """
    command = [*compiler, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_SECONDS)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines() or ["?"]
        raise RuntimeError(f"{' '.join(compiler)} failed: {lines[0][:400]}")
    return done.stdout


def compiler_version(compiler: Sequence[str]) -> str:
    lines = run_compiler(compiler, ["--version"]).splitlines()
    return lines[0] if lines else Path(compiler[0]).name


def supported(compiler: Sequence[str], *flags: str) -> list[str]:
    """Those of the flags that the compiler knows. zig takes the processor of the machine by itself."""
    if "ziglang" in compiler:
        flags = tuple(flag for flag in flags if not flag.startswith("-march"))

    def is_known(flag: str) -> bool:
        probe = [*compiler, "-Werror", flag, "-E", "-x", "c", os.devnull]
        return subprocess.run(probe, capture_output=True, timeout=TIMEOUT_SECONDS).returncode == 0

    return [flag for flag in flags if is_known(flag)]


def compile_object(source: Path, target: Path, compiler: Sequence[str], flags: Sequence[str] = ()) -> Path:
    run_compiler(compiler, [*STRICT, *FAST, *flags, "-c", source, "-o", target])
    return target


def compile_library(source: Path, library: Path, compiler: Sequence[str], flags: Sequence[str] = ()) -> Path:
    """A shared library that `load` reads; its object file stays beside it."""
    position = () if os.name == "nt" else ("-fPIC",)
    made = compile_object(source, library.with_suffix(".o"), compiler, [*position, *flags, "-DPERDURE_LIBRARY"])
    run_compiler(compiler, ["-shared", made, "-o", library, "-lm"])
    return library


def compile_program(sources: Sequence[Path], program: Path, compiler: Sequence[str], flags: Sequence[str] = ()) -> Path:
    run_compiler(compiler, [*STRICT, *FAST, *flags, *sources, "-o", program, "-lm"])
    return program


def flash_bytes(made: Path) -> int | None:
    """Code and constants of a 64-bit ELF object file; None for another format."""
    data = made.read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":
        return None
    (start,) = struct.unpack_from("<Q", data, 0x28)
    entry, count = struct.unpack_from("<HH", data, 0x3A)
    total = 0
    for k in range(count):
        _, kind, flags, _, _, length = struct.unpack_from("<IIQQQQ", data, start + k * entry)
        is_program = kind == 1 and flags & 2  # PROGBITS that stay in memory
        total += length if is_program else 0
    return total


def stack_bytes(report: Path) -> int | None:
    """The stack of the function that acts, from what -fstack-usage wrote; None if there is nothing."""
    if not report.is_file():
        return None
    rows = [line.split("\t") for line in report.read_text().splitlines()]
    return next((int(row[1]) for row in rows if row[0].endswith("_act")), None)
