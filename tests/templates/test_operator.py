"""A primitive as operators that there are (one file), and a new operator of the graph (what CONTRIBUTING.md lists).

The second is done in a copy of the source: one insertion in each file of the list and in no other, then a proof in every
runtime that is here. So the list cannot name a file too few; that it names none too many is looked up.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir

import perdure
from perdure.export import export
from perdure.export.trace import Builder, _lowering, lowers
from perdure.graph import Tensor, constant
from perdure.space import Box
from tests.support.export.in_process import in_process as in_process, installed_targets
from tests.support.export.policies import Stateless
from tests.support.shared_files import ROOT

F = np.float32
SOURCE = Path(perdure.__file__).parent
PROGRAM = """
import jax, numpy as np, json
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir
from perdure.export import export
from perdure.graph import Graph, Tensor, emit, in_jax, interpret
from tests.support.export.in_process import InProcessRunner, installed_targets
from tests.support.export.policies import CONTINUOUS, OBSERVATION, Stateless, mlp
import perdure.export._export as exporting

exporting.Runner = InProcessRunner
softsign = Primitive("softsign")
softsign.def_impl(jax.nn.soft_sign)
softsign.def_abstract_eval(lambda x: x)
batching.defvectorized(softsign)
mlir.register_lowering(softsign, mlir.lower_fun(jax.nn.soft_sign, multiple_results=False))

class Policy(Stateless):
    def choose(self, observation, action_mask):
        return self.net(observation).reshape(CONTINUOUS.shape)

net = mlp(4, int(np.prod(CONTINUOUS.shape)), activation=softsign.bind)
targets = [name for name in installed_targets() if "int8" not in name]  # whose core takes few operators
report = export(Policy(OBSERVATION, CONTINUOUS, net), "deploy", targets, num_observations=100)
print(json.dumps([[row.target, row.precision, row.max_error] for row in report.targets]))
x = Tensor((3,), np.dtype("float32"), "x")
graph = Graph([x], [("y", emit("Softsign", x))])
for run in (interpret, lambda g, given: in_jax(g)(given)):
    np.testing.assert_allclose(run(graph, {"x": np.array([1, -3, 0], "f")})["y"], [0.5, -0.75, 0])
"""
# file -> (what stands there, what is put behind it); "" is the end of the file
EDITS = {
    "graph/_operators.py": ('        "Cosh",\n', '        "Softsign",\n'),
    "graph/_interpret.py": ('"Cosh": np.cosh,', ' "Softsign": lambda x: x / (1 + np.abs(x)),'),
    "graph/_jax.py": ('"Cosh": jnp.cosh,', ' "Softsign": jax.nn.soft_sign,'),
    "export/trace/_lower_elementwise.py": ('"cosh": "Cosh",', ' "softsign": "Softsign",'),
    "export/targets/onnx/_rules.py": ('    "Cosh",\n', '    "Softsign",\n'),
    "export/targets/c/_elementwise.py": ('"Cosh": "coshf({0})",', ' "Softsign": "({0} / (1.0f + fabsf({0})))",'),
    "export/targets/weights/_rules.py": ('"Atan": "np.arctan({0})",', ' "Softsign": "({0}) / (1 + np.abs({0}))",'),
    "export/targets/torch/_rules.py": ('"Cosh": torch.cosh,', ' "Softsign": F.softsign,'),
    "export/targets/tflite/_rules.py": (
        "",
        """

@writes("Softsign")
def softsign(w: "Writer", node: Node) -> None:
    x, shape = w.ref(node.inputs[0]), node.out.shape
    size = w.op("ADD", [w.op("ABS", [x], shape), w.array(1, np.float32)], shape)
    w.op("DIV", [x, size], shape, out=w.ref(node.out))
""",
    ),
    "export/targets/tfjs/_rules.py": (
        "",
        """

@writes("Softsign")
def softsign(w: "Writer", node: Node) -> None:
    x = w.ref(node.inputs[0])
    size = w.op("AddV2", w.op("Abs", x, T=FLOAT), w.array(1), T=FLOAT)
    w.op("RealDiv", x, size, out=node.out.name, T=FLOAT)
""",
    ),
}
TEST = "tests/graph/test_operators.py"  # which fails until the new one has its case


def listed() -> list[str]:
    """The files of the row `an operator` in CONTRIBUTING.md, from the root."""
    page = (ROOT / "CONTRIBUTING.md").read_text()
    (row,) = re.findall(r"^\| an operator \|([^|]*)\|", page, re.M)
    return [name for name in re.findall(r"`([\w/.]+\.py)`", row)]


def test_the_page_lists_at_most_eleven_files_which_are_those_that_a_new_operator_took():
    assert len(listed()) <= 11
    assert set(listed()) == {*(f"src/perdure/{name}" for name in EDITS), TEST}
    assert all((ROOT / name).is_file() for name in listed())


@pytest.mark.parametrize("op", ["Sinh", "Tan", "Cos", "Sqrt"])
def test_an_operator_that_there_is_stands_in_no_other_file(op):
    """But in the guard, which may be told that NaN stays NaN in every runtime, and in TFLite only where LiteRT has it."""
    found = {p.relative_to(SOURCE).as_posix() for p in SOURCE.rglob("*.py") if f'"{op}"' in p.read_text()}
    assert set(EDITS) - found <= {"export/targets/tflite/_rules.py"}
    assert found - set(EDITS) <= {"export/guard/_analysis.py"}


@pytest.mark.slow
def test_a_new_operator_is_proven_in_every_runtime_that_is_here(tmp_path):
    shutil.copytree(SOURCE, tmp_path / "src" / "perdure", ignore=shutil.ignore_patterns("__pycache__"))
    for name, (before, behind) in EDITS.items():
        path = tmp_path / "src" / "perdure" / name
        text = path.read_text()
        assert text.count(before) == 1 or not before, name
        path.write_text(text.replace(before, before + behind) if before else text + behind)
    program = f"import sys; sys.path[:0] = [{str(tmp_path / 'src')!r}, {str(ROOT)!r}]\n{PROGRAM}"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = {target: (precision, error) for target, precision, error in json.loads(done.stdout.splitlines()[-1])}
    assert {"c", "weights", "stablehlo"} <= set(rows)
    assert all(error <= 1e-5 for precision, error in rows.values() if precision == "float32")


# What it takes to export a primitive of one's own with operators that there are: this much, in a file of one's own.
hard_shrink = Primitive("hard_shrink")
shrunk = lambda x: jnp.where(jnp.abs(x) > 0.5, x, 0.0)  # noqa: E731
hard_shrink.def_impl(shrunk)
hard_shrink.def_abstract_eval(lambda x: x)
batching.defvectorized(hard_shrink)
mlir.register_lowering(hard_shrink, mlir.lower_fun(shrunk, multiple_results=False))


def lower_hard_shrink(low: Builder, equation: object, x: Tensor) -> Tensor:
    half, zero = constant(F(0.5)), constant(F(0))
    return low.emit("Where", low.emit("Lt", half, low.emit("Abs", x)), x, zero)


class Shrinking(Stateless):
    def choose(self, observation, action_mask):
        return hard_shrink.bind(observation)


def shrinking():
    space = Box(-2.0, 2.0, (3,))
    return Shrinking(space, space, None)


@pytest.mark.usefixtures("in_process")
def test_a_primitive_as_operators_that_there_are_takes_one_file(tmp_path, monkeypatch):
    monkeypatch.setattr(_lowering, "RULES", _lowering.RULES)  # put back what `lowers` adds
    monkeypatch.setitem(_lowering.RULES, "hard_shrink", None)
    lowers("hard_shrink")(lower_hard_shrink)
    targets = [name for name in installed_targets() if "int8" not in name]  # which want a layer
    report = export(shrinking(), tmp_path / "deploy", targets, num_observations=100)
    assert [row.target for row in report.targets] == targets
    assert all(row.max_error <= 1e-5 for row in report.targets)


def test_without_its_rule_the_primitive_and_the_line_are_named(tmp_path):
    with pytest.raises(Exception, match=r"test_operator\.py:\d+ .*primitive 'hard_shrink' cannot be exported"):
        export(shrinking(), tmp_path / "deploy", ["weights"])
    assert jax.numpy.allclose(hard_shrink.bind(jnp.array([0.4, 0.6])), jnp.array([0.0, 0.6]))
