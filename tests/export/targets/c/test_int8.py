"""The target `c-int8`: the same integers as the reference under every compiler, sanitizers and on a Cortex-M4."""

import functools
import subprocess

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from perdure.export import export
from perdure.export.proof._observations import broken_inputs, make_inputs
from perdure.export.proof._tolerance import near_ties
from perdure.export.targets.c import write_c
from perdure.graph import interpret
from perdure.space import Box, Discrete
from tests.support.export.c_compilers import (
    COMPILERS,
    DRIVER,
    STRICT,
    compiler,
    needs_compiler,
    rows_as_bytes,
    rows_from_bytes,
    run,
)
from tests.support.export.cortex import needs, run_on_cortex
from tests.support.export.in_process import in_process as in_process
from tests.support.export.int8 import int8_program
from tests.support.export.policies import POLICIES, Stateless, mlp

KINDS = ["discrete", "squashed", "convolution", "recurrent", "mixed"]


class Pooled(Stateless):
    """Padding, dilation, a largest value in a window, two layers put together."""

    head: eqx.nn.MLP

    def choose(self, observation, action_mask):
        x = jnp.transpose(observation.astype(jnp.float32) / 255.0, (2, 0, 1))
        x = jax.lax.reduce_window(jax.nn.relu(self.net(x)), -jnp.inf, jax.lax.max, (1, 2, 2), (1, 2, 2), "VALID")
        return jnp.argmax(self.head(x.reshape(-1)))


def pooled():
    net = eqx.nn.Conv2d(3, 4, 3, padding=2, dilation=2, key=jax.random.key(0))
    return Pooled(Box(0, 255, (8, 8, 3), np.uint8), Discrete(3), net, mlp(64, 3, activation=jax.nn.relu))


MAKERS = {**{kind: POLICIES[kind] for kind in KINDS}, "pooled": pooled}


@functools.cache
def program_of(kind):
    return int8_program(MAKERS[kind]())[0]


def write(folder, kind):
    for file, text in write_c(program_of(kind), "policy_int8").items():
        (folder / file).write_text(text)


@pytest.mark.parametrize("name", COMPILERS)
def test_no_compiler_has_anything_to_say(name, tmp_path):
    command = compiler(name)
    for kind in ("recurrent", "convolution"):
        write(tmp_path, kind)
        for flags in (["-O2"], ["-O3", "-ffp-contract=fast", "-DPERDURE_LIBRARY"]):
            run(*command, *STRICT, *flags, "-c", tmp_path / "policy_int8.c", "-o", tmp_path / "policy.o")


@pytest.mark.parametrize("kind", MAKERS)
def test_sanitizers_find_nothing_and_the_integers_are_those_of_the_reference(kind, tmp_path):
    policy, program = MAKERS[kind](), program_of(kind)
    write(tmp_path, kind)
    (tmp_path / "driver.c").write_text(DRIVER)
    flags = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    command = [*compiler("gcc"), *flags, "-DPERDURE_LIBRARY", tmp_path / "policy_int8.c", tmp_path / "driver.c"]
    done = subprocess.run([*command, "-o", tmp_path / "driver", "-lm"], capture_output=True, text=True)
    if "cannot find" in done.stderr:
        pytest.skip("the sanitizers' libraries are not installed (libasan, libubsan)")
    assert done.returncode == 0, done.stderr
    good = make_inputs(policy, program.signature, 2000, seed=3)
    broken = broken_inputs(program.signature, good)
    rows = {k: np.concatenate([x, broken[k]]) for k, x in good.items()}
    done = subprocess.run([tmp_path / "driver"], input=rows_as_bytes(list(rows.values())), capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    want = list(interpret(program.graph, rows).values())
    firm = ~near_ties(program.plain, rows)
    assert firm.mean() > 0.5
    for got, wanted in zip(rows_from_bytes(done.stdout, want), want, strict=True):
        np.testing.assert_allclose(got[firm], wanted[firm], rtol=1e-5, atol=1e-5)


@needs_compiler
@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("kind", ["discrete", "recurrent", "pooled"])
def test_the_self_test_passes_on_a_cortex_m4(kind, tmp_path):
    needs("arm-none-eabi-gcc", "qemu-system-arm")
    export(MAKERS[kind](), tmp_path / "deploy", ["c-int8"], num_observations=50)
    done = run_on_cortex(tmp_path / "deploy", tmp_path, "policy_int8")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("policy_int8: 0 of ")


@needs_compiler
@pytest.mark.usefixtures("in_process")
def test_flash_is_about_a_quarter_of_what_floats_take(tmp_path):
    class Wide(Stateless):
        def choose(self, observation, action_mask):
            return jnp.argmax(self.net(observation)).astype(jnp.int32)

    policy = Wide(Box(-1.0, 1.0, (4,)), Discrete(2), mlp(4, 2, width=128))
    rows = export(policy, tmp_path / "deploy", ["c", "c-int8"], num_observations=50).targets
    whole, small = (row.memory["flash_bytes"] for row in rows)
    assert 0.2 < small / whole < 0.35
