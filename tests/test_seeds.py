"""The documents that the product answers: their code runs with only the package's name changed."""

import subprocess
import sys

import pytest

SAVING = """
from jax import random as jr

from perdure.env.classic_control import CartPole
from perdure.policy import MLPActorCriticPolicy

policy_key = jr.key(0)

env = CartPole()
policy = MLPActorCriticPolicy(env=env, key=policy_key)

policy.serialize("model.eqx")
"""
LOADING = """
from jax import random as jr

from perdure.env.classic_control import CartPole
from perdure.policy import MLPActorCriticPolicy

env = CartPole()

loaded_policy = MLPActorCriticPolicy.deserialize("model.eqx", env, key=jr.key(1)) # (1)!
"""
MIXIN = """
import equinox as eqx
from perdure.utils import Serializable

class MyModule(Serializable):
    a: float
    b: float

    def __init__(self, a: float, b: float):
        self.a = a
        self.b = b

m = MyModule(1.0, 2.0)
m.serialize("my_module.eqx")

m = MyModule.deserialize("my_module.eqx", 0.0, 0.0)
"""
EXPORTING = """
from jax import random as jr

from perdure.env.classic_control import CartPole
from perdure.export import to_onnx
from perdure.policy import MLPActorCriticPolicy

env = CartPole()
policy = MLPActorCriticPolicy(env=env, key=jr.key(0))

to_onnx(policy, output_path="policy.onnx")
"""
RUNNING = """
import numpy as np
import onnxruntime as ort

session = ort.InferenceSession("policy.onnx")
input_name = session.get_inputs()[0].name

observation = np.zeros(4, dtype=np.float32)  # CartPole has 4-dim observations
action = session.run(None, {input_name: observation})[0]
"""


def run(code, folder):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_seed_000_saves_and_loads_a_policy_in_two_processes(tmp_path):
    same = """
import jax, jax.numpy as jnp
saved = MLPActorCriticPolicy(env=env, key=jr.key(0))
pairs = zip(jax.tree.leaves(saved), jax.tree.leaves(loaded_policy), strict=True)
print(all((a == b).all() for a, b in pairs), loaded_policy(None, jnp.ones(4))[1] == saved(None, jnp.ones(4))[1])
"""
    run(SAVING, tmp_path)
    assert run(LOADING + same, tmp_path) == "True True\n"


def test_seed_000_saves_any_module(tmp_path):
    assert run(MIXIN + "print(m.a, m.b)", tmp_path) == "1.0 2.0\n"


def test_a_module_saved_by_a_script_loads_where_its_class_is_imported(tmp_path):
    (tmp_path / "script.py").write_text(MIXIN)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    load = "from script import MyModule; m = MyModule.deserialize('my_module.eqx', 5.0, 5.0); print(m.a, m.b)"
    assert run(load, tmp_path) == "1.0 2.0\n"


def test_seed_000_exports_and_runs_a_policy(tmp_path):
    pytest.importorskip("onnx", reason="needs the extra onnx")
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    run(EXPORTING, tmp_path)
    expected = "import jax.numpy as jnp\nprint(int(policy(None, jnp.zeros(4))[1]), 'int32')"
    assert run(RUNNING + "print(action, action.dtype)", tmp_path) == run(EXPORTING + expected, tmp_path)


def test_the_policy_signatures_of_seeds_001_and_003():
    import inspect

    from perdure.policy import AbstractPolicy, AbstractQPolicy

    assert list(inspect.signature(AbstractPolicy.__call__).parameters) == [
        "self",
        "state",
        "observation",
        "key",
        "action_mask",
    ]
    assert list(inspect.signature(AbstractPolicy.reset).parameters) == ["self", "key"]
    assert list(inspect.signature(AbstractPolicy.serialize).parameters) == ["self", "path"]
    assert list(inspect.signature(AbstractPolicy.deserialize).parameters) == ["path", "args", "kwargs"]
    assert list(inspect.signature(AbstractQPolicy.q_values).parameters) == ["self", "state", "observation"]
    for name in ("key", "action_mask"):
        parameter = inspect.signature(AbstractQPolicy.__call__).parameters[name]
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        assert parameter.default is None
