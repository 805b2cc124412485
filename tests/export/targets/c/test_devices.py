"""The C target beyond this machine's processor: a Cortex-M4 under qemu, WebAssembly in Node."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

import perdure.export.targets.c._build as building
from perdure._core import MissingExtraError
from perdure.export import export
from perdure.export.program import lower
from perdure.export.proof._observations import broken_inputs, make_inputs
from perdure.export.proof._tolerance import near_ties
from perdure.export.targets.c import build_wasm, write_c
from perdure.graph import interpret
from tests.support.export.c_compilers import compiler, rows_as_bytes, rows_from_bytes
from tests.support.export.comparison import worst_error
from tests.support.export.cortex import needs, run_on_cortex
from tests.support.export.policies import POLICIES, recurrent

HERE = Path(__file__).parent


@pytest.mark.parametrize("kind", ["several", "mixed", "attention", "convolution", "recurrent"])
def test_the_self_test_passes_on_a_cortex_m4(kind, tmp_path):
    needs("arm-none-eabi-gcc", "qemu-system-arm")
    export(POLICIES[kind](), tmp_path / "deploy", ["c"], num_observations=50)
    done = run_on_cortex(tmp_path / "deploy", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("policy: 0 of ")


def test_a_changed_weight_is_noticed_on_a_cortex_m4(tmp_path):
    needs("arm-none-eabi-gcc", "qemu-system-arm")
    export(recurrent(), tmp_path / "deploy", ["c"], num_observations=50)
    source = tmp_path / "deploy" / "policy.c"
    head, weights = source.read_text().split("w_head_weight[16] = {", 1)
    source.write_text(f"{head}w_head_weight[16] = {{9.0f + {weights}")
    done = run_on_cortex(tmp_path / "deploy", tmp_path)
    assert done.returncode == 1
    assert "vector 0 differs" in done.stdout


@pytest.mark.parametrize("kind", ["several", "mixed", "convolution", "recurrent"])
def test_webassembly_answers_as_the_policy_does(kind, tmp_path):
    compiler("zig"), needs("node")
    policy = POLICIES[kind]()
    program = lower(policy)
    for file, text in write_c(program, "policy").items():
        (tmp_path / file).write_text(text)
    module = build_wasm(tmp_path / "policy.c")
    assert module.stat().st_size < 40_000
    good = make_inputs(policy, program.signature, 500, seed=3)
    broken = broken_inputs(program.signature, good)
    rows = {k: np.concatenate([x, broken[k]]) for k, x in good.items()}
    want = list(interpret(program.graph, rows).values())
    command = ["node", HERE / "run_wasm.mjs", module]
    done = subprocess.run(command, input=rows_as_bytes(list(rows.values())), capture_output=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, b"")
    firm = ~near_ties(program.plain, rows)
    got = rows_from_bytes(done.stdout, want)
    assert worst_error([x[firm] for x in got], [x[firm] for x in want]) < 1e-4


def test_webassembly_without_ziglang_names_the_mend(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"policy\.c does not exist.*targets=\['c'\]"):
        build_wasm(tmp_path / "policy.c")
    (tmp_path / "policy.c").write_text("")
    monkeypatch.setattr(building, "zig_compiler", lambda: None)
    with pytest.raises(MissingExtraError, match=r'pip install "perdure\[c\]"'):
        build_wasm(tmp_path / "policy.c")
