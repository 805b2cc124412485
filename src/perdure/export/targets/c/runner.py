"""Compiles an exported `policy.c` with the C compiler of this machine and opens it through ctypes, for `replay`."""

import runpy
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
COMPILE, LOAD = (runpy.run_path(str(HERE / name)) for name in ("_compile.py", "_load.py"))


def open_model(path: str, folder: Path) -> dict[str, Any]:
    compiler = COMPILE["find_compiler"]()
    if compiler is None:
        raise RuntimeError(COMPILE["NO_COMPILER"])
    made = folder / "policy.so"
    flags = COMPILE["supported"](compiler, "-march=native", "-fstack-usage")
    COMPILE["compile_library"](Path(path), made, compiler, flags)
    library = LOAD["Library"](made)
    initial = library.initial_state()
    memory = {
        "flash_bytes": COMPILE["flash_bytes"](made.with_suffix(".o")),
        "stack_bytes": COMPILE["stack_bytes"](made.with_suffix(".su")),
        "workspace_bytes": library.workspace_bytes,
        "state_bytes": sum(x.nbytes for x in initial.values()),
    }
    version = COMPILE["compiler_version"](compiler)
    told = {"runtime": version, "version": " ".join(flags[:1]), "memory": memory}
    return {"prepare": library.prepare, "initial": initial, **told}
