"""The targets `c` and `c-int8`: the files, and the self-test that is written once the answers are known."""

import subprocess
import tempfile
from pathlib import Path

from perdure._core import ExportError
from perdure.export.precision import INT8
from perdure.export.program import Program
from perdure.export.proof import Arrays

from .._record import Target, Written
from .._writing import file_stem
from ._build import require_compiler
from ._compile import compile_program, find_compiler
from ._self_test import write_self_test
from ._write import write_c

SELF_TEST_SECONDS = 60


def write(program: Program, directory: Path, name: str) -> Written:
    name = file_stem(program, name)
    for file, text in write_c(program, name).items():
        (directory / file).write_text(text)
    return Written(f"{name}.c", (f"{name}.h",))


def finish(program: Program, directory: Path, name: str, golden: Arrays) -> list[str]:
    """The self-test, compiled and run if there is a compiler.

    Raises: ExportError if it fails; what the runner compiled answered right, so this would be the compiler's or ours.
    """
    name = file_stem(program, name)
    test = directory / f"{name}_test.c"
    test.write_text(write_self_test(program, name, golden))
    if (compiler := find_compiler()) is None:
        return [test.name]
    with tempfile.TemporaryDirectory(prefix="perdure-test-") as folder:
        program_file = Path(folder) / "policy_test"
        compile_program([directory / f"{name}.c", test], program_file, compiler, ["-O1"])
        done = subprocess.run([program_file], capture_output=True, text=True, timeout=SELF_TEST_SECONDS)
    if done.returncode != 0:
        raise ExportError(f"export to c: the self-test fails; nothing was written. {done.stdout.strip()[-500:]}")
    return [test.name]


RUNNER = Path(__file__).with_name("runner.py")
C = Target("c", write, RUNNER, finish=finish, require_runtime=require_compiler)
C_INT8 = Target("c-int8", write, RUNNER, finish=finish, precision=INT8, require_runtime=require_compiler)
