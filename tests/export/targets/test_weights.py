"""The target `weights`: the numpy script in a process of its own, named weights, the architecture in JSON."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

from perdure.export import export, verify
from perdure.space import Box, Dict
from tests.support.export.policies import POLICIES, Stateless, mlp
from tests.support.policy_kinds import make


@pytest.mark.parametrize("kind", ["several", "bits", "mixed", "attention", "convolution", "recurrent"])
def test_the_script_is_proven_and_verifies(kind, tmp_path):
    (row,) = export(POLICIES[kind](), tmp_path / "deploy", ["weights"]).targets
    assert row.observations >= 1000
    assert row.max_error <= 1e-5
    assert verify(tmp_path / "deploy").targets[0].max_error <= 1e-5


def test_the_script_needs_numpy_and_safetensors_alone_and_is_short(tmp_path):
    export(make("mlp actor-critic"), tmp_path / "deploy", ["weights"], name="cart", num_observations=50)
    script = tmp_path / "deploy" / "cart_numpy.py"
    done = subprocess.run([sys.executable, "-X", "importtime", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("{'action': array([")
    assert "numpy" in done.stderr
    assert not any(name in done.stderr for name in ("jax", "perdure"))
    code = script.read_text().split('"""')[2].strip().splitlines()
    assert len(list(filter(None, code))) <= 30


def test_weights_have_the_names_and_values_of_the_policy_s_parameters(tmp_path):
    policy = make("gru actor-critic, dict")
    export(policy, tmp_path / "deploy", ["weights"], num_observations=50)
    stored, parameters = load_file(tmp_path / "deploy" / "policy_weights.safetensors"), policy.get_parameters()
    actor = {name: x for name, x in parameters.items() if not name.startswith("critic")}
    assert set(actor) <= set(stored)
    for name, x in actor.items():
        np.testing.assert_array_equal(stored[name].ravel(), x.ravel())  # a bias may have axes of one in front


def test_the_architecture_is_enough_to_write_a_runtime(tmp_path):
    policy = make("mlp q")
    export(policy, tmp_path / "deploy", ["weights"], outputs=("action", "q_values"), num_observations=50)
    stored = load_file(tmp_path / "deploy" / "policy_weights.safetensors")
    plan = json.loads((tmp_path / "deploy" / "policy_weights.json").read_text())
    assert [port["name"] for port in plan["inputs"] + plan["outputs"]] == ["observation", "action", "q_values"]
    observation = np.array([[0.3, -2.0, 0.7]], np.float32)
    values = {"observation": observation}
    for layer in plan["layers"]:
        if layer["op"] == "Dense":
            x, weight, bias = layer["inputs"]
            y = values[x] @ stored[weight].T + stored[bias]
            values[layer["name"]] = np.tanh(y) if layer["activation"] == "Tanh" else y
    want = policy.q_values(None, observation[0])[1]
    np.testing.assert_allclose(values[plan["results"]["q_values"]][0], want, atol=1e-5)


def test_any_key_of_an_observation_is_a_string_and_no_code(tmp_path):
    space = Dict({'"""\\': Box(-1, 1, (2,)), "import os": Box(-1, 1, (2,)), "batch": Box(-1, 1, (2,))})

    class Odd(Stateless):
        def choose(self, observation, action_mask):
            return self.net(sum(observation.values()))

    policy = Odd(space, Box(-np.inf, np.inf, (2,)), mlp(2, 2, activation=jax.nn.gelu))
    (row,) = export(policy, tmp_path / "deploy", ["weights"], name="it's").targets
    assert row.max_error <= 1e-5
