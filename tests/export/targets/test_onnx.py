"""`to_onnx`: the seed's form, the batched form, names, metadata, refusals."""

import json
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure._core import ExportError, fingerprint
from perdure.env.classic_control import CartPole
from perdure.export import to_onnx
from perdure.policy import MLPActorCriticPolicy, MLPQPolicy
from perdure.space import Box, Discrete
from tests.support.export.policies import (
    CONTINUOUS,
    OBSERVATION,
    POLICIES,
    Stateless,
    continuous,
    discrete,
    mlp,
    normalized,
)

onnx = pytest.importorskip("onnx", reason="ONNX is written with the extra onnx")
ort = pytest.importorskip("onnxruntime", reason="ONNX is run with the extra onnx")


def session(model):
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def test_the_seed_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    env = CartPole()
    policy = MLPActorCriticPolicy(env=env, key=jr.key(0))
    to_onnx(policy, output_path="policy.onnx")

    session = ort.InferenceSession("policy.onnx")
    input_name = session.get_inputs()[0].name
    observation = np.zeros(4, dtype=np.float32)  # CartPole has 4-dim observations
    action = session.run(None, {input_name: observation})[0]
    assert (action.shape, action.dtype) == ((), np.int32)
    assert action == policy(None, observation)[1]


@pytest.mark.parametrize("make", [discrete, continuous, normalized])
@pytest.mark.parametrize("batched", [False, True])
def test_two_hidden_layers_are_at_most_twelve_nodes_with_the_guard(make, batched):
    assert len(to_onnx(make(), batched=batched).graph.node) <= 12


@pytest.mark.parametrize("kind", POLICIES)
def test_both_forms_equal_the_policy(kind):
    policy = POLICIES[kind]()
    keys = jr.split(jr.key(0), 7)
    observations = jax.vmap(lambda k: policy.observation_space.sample(key=k))(keys)
    state = policy.reset(key=jr.key(0))
    states = jax.tree.map(lambda x: jnp.stack([x] * 7), state)
    _, want = jax.vmap(lambda s, o: policy(s, o))(states, observations)
    batched, single = session(to_onnx(policy, batched=True)), session(to_onnx(policy))
    leaves = [*jax.tree.leaves(observations), *jax.tree.leaves(states)]
    names = [i.name for i in batched.get_inputs()]
    assert names == [i.name for i in single.get_inputs()]
    got = batched.run(None, {n: np.asarray(x) for n, x in zip(names, leaves, strict=True)})[0]
    np.testing.assert_allclose(got, want, atol=1e-5)
    assert got.dtype == policy.action_space.dtype
    row = single.run(None, {n: np.asarray(np.asarray(x)[3]) for n, x in zip(names, leaves, strict=True)})[0]
    np.testing.assert_allclose(row, want[3], atol=1e-5)


def test_the_batch_axis_is_symbolic_on_every_input_and_output():
    model = to_onnx(POLICIES["recurrent"](), batched=True)
    for value in [*model.graph.input, *model.graph.output]:
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"


def test_opset_and_ir_version_are_what_every_runtime_reads():
    model = to_onnx(discrete())
    assert (model.ir_version, model.opset_import[0].version) == (8, 17)
    with pytest.raises(ExportError, match="opset=21 is not supported"):
        to_onnx(discrete(), opset=21)


def test_weights_and_layers_are_named_after_the_module():
    model = to_onnx(MLPActorCriticPolicy(env=CartPole(), key=jr.key(0)))
    assert "actor.layers.0.weight" in {i.name for i in model.graph.initializer}
    assert any(n.name.startswith("actor_layers_0") for n in model.graph.node)


def test_metadata_says_what_the_model_is():
    policy = MLPActorCriticPolicy(env=CartPole(), key=jr.key(0))
    metadata = {p.key: p.value for p in to_onnx(policy, model_name="pole").metadata_props}
    assert metadata["name"] == "pole"
    assert metadata["fingerprint"] == fingerprint(policy).hex()
    assert json.loads(metadata["action_space"])["class"] == "Discrete"
    assert json.loads(metadata["nan_guard"]) == {"action": {"action": -1}, "on": True}


def test_optional_outputs_of_our_policies():
    env = CartPole()
    actor_critic = session(to_onnx(MLPActorCriticPolicy(env=env, key=jr.key(0)), outputs=("action", "logits", "value")))
    assert [o.name for o in actor_critic.get_outputs()] == ["action", "logits", "value"]
    q_policy = MLPQPolicy(env=env, key=jr.key(0))
    action, q_values = session(to_onnx(q_policy, outputs=("action", "q_values"))).run(
        None, {"observation": np.ones(4, np.float32)}
    )
    np.testing.assert_allclose(q_values, q_policy.q_values(None, jnp.ones(4))[1], atol=1e-6)
    assert action == q_values.argmax()


def test_the_mask_is_an_input():
    policy = MLPActorCriticPolicy(env=CartPole(), key=jr.key(0))
    model = session(to_onnx(policy, action_mask=True))
    observation = np.zeros(4, np.float32)
    for legal in (0, 1):
        assert model.run(None, {"observation": observation, "action_mask": np.arange(2) == legal})[0] == legal
    assert (
        model.run(None, {"observation": observation, "action_mask": np.zeros(2, bool)})[0] == 0
    )  # none legal: the first


def test_a_suffix_is_added_and_parents_are_made(tmp_path):
    to_onnx(discrete(), output_path=tmp_path / "a" / "policy-0.95")
    assert (tmp_path / "a" / "policy-0.95.onnx").is_file()


def test_the_same_policy_gives_the_same_bytes_in_two_processes(tmp_path):
    program = (
        "import sys; from jax import random as jr; from perdure.env.classic_control import CartPole;"
        "from perdure.export import to_onnx; from perdure.policy import MLPActorCriticPolicy;"
        "to_onnx(MLPActorCriticPolicy(env=CartPole(), key=jr.key(0)), output_path=sys.argv[1])"
    )
    for seed in ("1", "2"):
        command = [sys.executable, "-c", program, str(tmp_path / seed)]
        subprocess.run(command, check=True, env={"PYTHONHASHSEED": seed, "JAX_PLATFORMS": "cpu", "PATH": ""})
    assert (tmp_path / "1.onnx").read_bytes() == (tmp_path / "2.onnx").read_bytes()


def test_a_weight_that_is_not_finite_is_refused_by_name():
    policy = continuous()
    broken = eqx.tree_at(lambda p: p.net.layers[1].bias, policy, policy.net.layers[1].bias.at[3].set(jnp.nan))
    with pytest.raises(ExportError, match=r"export to ONNX: 'net\.layers\[1\]\.bias'\[3\] is nan\. Non-finite weights"):
        to_onnx(broken)


def test_infinite_bounds_are_no_weights():
    class Bounded(Stateless):
        def choose(self, observation, action_mask):
            return jnp.clip(self.net(observation), self.action_space.low, self.action_space.high)

    to_onnx(Bounded(OBSERVATION, Box(np.array([-np.inf, 0]), np.array([1, np.inf])), mlp(4, 2)))


class WithPrimitive(Stateless):
    function: object = eqx.field(static=True, default=None)

    def choose(self, observation, action_mask):
        return self.function(observation)[:2].astype(jnp.float32)


def draw(x):
    return x + jr.normal(jr.key(0), x.shape)


def shout(x):
    jax.debug.print("{}", x)
    return x


def host(x):
    return jax.pure_callback(np.sin, jax.ShapeDtypeStruct(x.shape, x.dtype), x)


def hidden_callback(x):
    return jax.lax.cond(
        x[0] > 0, lambda v: jax.pure_callback(np.sin, jax.ShapeDtypeStruct(v.shape, v.dtype), v), lambda v: v, x
    )


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda x: jax.lax.while_loop(lambda c: c.sum() < 9, lambda c: c + 1.0, x),
            r"primitive 'while' .* fixed length",
        ),
        (lambda x: jax.scipy.special.gammaln(x), r"primitive 'lgamma' cannot be exported\. It has no counterpart"),
        (draw, r"draws random numbers\. Export the deterministic policy"),
        (shout, r"primitive 'debug_\w+' cannot be exported\. Remove jax\.debug\.print"),
        (host, r"primitive 'pure_callback' cannot be exported\. Nothing outside JAX"),
        (hidden_callback, r"primitive 'pure_callback' cannot be exported"),
        (lambda x: x.astype(jnp.bfloat16) * 2, r"dtype bfloat16 cannot be exported\. Cast to float32"),
        (lambda x: jax.lax.scan(lambda c, v: (c + v, c), 0.0, jnp.ones(65) * x[0])[1], r"scan' of 65 steps"),
        (lambda x: jnp.linalg.inv(jnp.outer(x, x)).ravel(), r"primitive 'lu' cannot be exported\. Solve or invert"),
    ],
)
def test_what_cannot_be_exported_says_what_where_and_what_instead(function, message):
    policy = WithPrimitive(OBSERVATION, CONTINUOUS, None, function)
    with pytest.raises(ExportError, match=message) as caught:
        to_onnx(policy)
    assert "test_onnx.py:" in str(caught.value)


def test_an_unsupported_check_that_no_output_needs_is_no_error():
    def checked(x):
        eqx.error_if(x, jnp.any(jax.scipy.special.gammaln(x) > 9), "strange")
        return x

    to_onnx(WithPrimitive(OBSERVATION, Box(-9, 9, (2,)), None, checked))


def test_an_observation_dtype_that_no_target_takes_is_refused():
    policy = Stateless(Box(0, 9, (3,), np.uint32), Discrete(2), None)
    with pytest.raises((ExportError, NotImplementedError)):
        to_onnx(policy)


def test_unknown_outputs_are_refused_with_the_close_match():
    with pytest.raises(ValueError, match="Did you mean 'logits'"):
        to_onnx(discrete(), outputs=("action", "logit"))
