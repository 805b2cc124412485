"""Models of SBX, made once with the real package by `make_sbx.py`."""

import json
import zipfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from perdure._core import FileFormatError
from perdure.importer import read_sb3
from perdure.importer._pickle import Call, Global
from tests.support.forge import dump, pickled, zipped
from tests.support.sb3 import action_error, answers, head_error

FILES = Path(__file__).parent / "files"


@pytest.mark.parametrize(("name", "algorithm"), [("ppo", "PPO"), ("ppo_bits", "PPO"), ("sac", "SAC"), ("dqn", "DQN")])
def test_a_model_of_sbx_answers_as_its_predict_does(name, algorithm):
    policy, report = read_sb3(FILES / f"sbx_{name}.zip")
    assert report.algorithm == algorithm
    assert report.library.startswith("SBX with Stable-Baselines3")
    arrays = dict(np.load(FILES / f"sbx_{name}.npz"))
    keys = {key.removeprefix("observation."): x for key, x in arrays.items() if key.startswith("observation.")}
    given = answers(policy, keys or arrays["observation"])
    assert action_error(policy, given.action, arrays["action"]) <= 1e-6
    if "value" in arrays:
        assert head_error(given.value, arrays["value"]) <= 1e-6


def changed(tmp_path, name="ppo", **changes):
    """A model with other fields."""
    with zipfile.ZipFile(FILES / f"sbx_{name}.zip") as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    members["data"] = json.dumps(json.loads(members["data"]) | changes).encode()
    (tmp_path / "model.zip").write_bytes(zipped(members))
    return tmp_path / "model.zip"


def layer(*shape):
    numbers = np.ones(shape, "<f4")
    state = (1, shape, Call(Global("numpy", "dtype"), ("f4", False, True)), False, numbers.tobytes())
    reconstruct = Global("numpy._core.multiarray", "_reconstruct")
    return Call(Global("jax._src.array", "_reconstruct_array"), (reconstruct, (), state, {}))


def forged(**changes):
    """The field `policy` of a DQN on five numbers, with four actions."""
    layers = {
        f"Dense_{i}": {"kernel": layer(*shape), "bias": layer(shape[1])} for i, shape in enumerate([(5, 3), (3, 4)])
    }
    state = {"qf_state": Call(Global("flax.training.train_state", "TrainState"), (), state={"params": layers})}
    return pickled(dump(Call(Global("sbx.dqn.policies", "DQNPolicy"), (), state=state | changes)))


def test_older_versions_that_name_no_activation_are_read(tmp_path):
    policy, _ = read_sb3(changed(tmp_path, "dqn", policy=forged()))
    observation = np.array([[1.0, 2.0, -3.0, 0.5, 0.25]], np.float32)
    # relu(0.75 + 1) in each of three units, then 3 * 1.75 + 1
    np.testing.assert_allclose(answers(policy, observation).head, [[6.25] * 4])


def function(module, name):
    """As cloudpickle stores a function by value."""
    code = Call(Call(Global("cloudpickle.cloudpickle", "_builtin_type"), ("CodeType",)), (*[0] * 11, name, name))
    return Call(Global("cloudpickle.cloudpickle", "_make_function"), (code, {"__name__": module}, None, None, None))


@pytest.mark.parametrize("module", ["__main__", "jax._src.nn.functions"])
def test_a_function_that_is_not_known_is_refused_by_name_or_mapped(module, tmp_path):
    jitted = Call(Global("jaxlib._jax", "PjitFunction"), (), state={"fun": function(module, "wave")})
    path = changed(tmp_path, "dqn", policy=forged(activation_fn=jitted))
    with pytest.raises(FileFormatError, match=rf"'{module}\.wave' is not known"):
        read_sb3(path)
    policy, _ = read_sb3(path, custom={f"{module}.wave": jnp.sin})
    np.testing.assert_allclose(answers(policy, np.zeros((1, 5), np.float32)).head, 3 * np.sin(1) + 1, rtol=1e-6)


REFUSED = {
    "another network": (lambda: {"policy": forged(actor_class=Global("my.nets", "Actor"))}, r"my\.nets\.Actor"),
    "another layer": (
        lambda: {
            "policy": forged(
                qf_state=Call(Global("x", "State"), (), state={"params": {"NatureCNN_0": {}, "Dense_0": {}}})
            )
        },
        "NatureCNN_0",
    ),
    "another policy": (
        lambda: {"policy": pickled(dump(Call(Global("os", "system"), ("touch canary",))))},
        r"os\.system",
    ),
    "no policy": (lambda: {"policy": None}, "policy is a"),
    "an array that is none": (
        lambda: {
            "policy": forged(
                qf_state=Call(
                    Global("x", "State"),
                    (),
                    state={
                        "params": {
                            "Dense_0": {"kernel": Call(Global("os", "_reconstruct_array"), (1, 2, 3)), "bias": 0}
                        }
                    },
                )
            )
        },
        r"os\._reconstruct_array",
    ),
    "choices": (
        lambda: {
            "observation_space": pickled(Call(Global("gymnasium.spaces.discrete", "Discrete"), (), state={"n": 5}))
        },
        "plain number",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_known_is_refused_by_name(name, tmp_path):
    make, message = REFUSED[name]
    with pytest.raises(FileFormatError, match=message):
        read_sb3(changed(tmp_path, "dqn", **make()))
