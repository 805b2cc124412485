"""Adding a body: one file with a module and its record, inside of the package or outside of it."""

import dataclasses
from typing import ClassVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure.algorithm import DQN, PPO, SAC
from perdure.checkpoint import load_policy, save_policy
from perdure.env import make
from perdure.export import to_onnx
from perdure.network import MLP
from perdure.policy import (
    BODIES,
    AbstractBody,
    AbstractBodyRecord,
    AbstractPolicyState,
    ActorCriticPolicy,
    Built,
    QFunction,
    QPolicy,
    SACPolicy,
    StatefulQPolicy,
    StatelessQPolicy,
    features,
)
from perdure.space import AbstractSpace
from perdure.utils import register
from tests.support.policy_kinds import CHOICE, VECTOR, Spaces
from tests.templates.waves_body import WavesBody


@register
@final
class Last(AbstractPolicyState):
    x: jax.Array


@register
@final
class TwoFrames(AbstractBody):
    """The observation and the one before: a memory that is no recurrent cell."""

    observation_space: AbstractSpace = eqx.field(static=True)

    @property
    def size(self):
        return 2 * self.observation_space.flat_size

    def reset(self):
        return Last(jnp.zeros(self.observation_space.flat_size))

    def __call__(self, policy_state, observation):
        x = features(self.observation_space, observation)
        return Last(x), jnp.concatenate([policy_state.x, x])

    def fresh(self, *, key):
        return self


@final
@dataclasses.dataclass(frozen=True)
class TwoFramesBody(AbstractBodyRecord):
    kind: ClassVar[str] = "two-frames"
    has_memory: ClassVar[bool] = True

    def build(self, observation_space, layers, *, num_memories=1, key):
        return Built(TwoFrames(observation_space), layers)


ENV = make("CartPole-v1")
OFF = {"num_envs": 2, "num_steps": 3, "batch_size": 16, "capacity": 100, "learning_starts": 20}


def changed(before, after):
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
    return any(not np.array_equal(a, b) for a, b in pairs if eqx.is_array(a))


@pytest.mark.parametrize(
    ("algorithm", "role"),
    [(PPO(num_envs=2, num_steps=8), ActorCriticPolicy), (DQN(**OFF), QPolicy)],
    ids=["PPO", "DQN"],
)
def test_it_trains_and_comes_back_from_both_kinds_of_file(algorithm, role, tmp_path):
    policy = role(ENV, WavesBody(hidden_sizes=(8,)), key=jr.key(0))
    trained = algorithm.learn(ENV, policy, total_timesteps=64, key=jr.key(1))
    assert changed(policy.body, trained.body)
    assert type(trained) is type(policy)
    save_policy(tmp_path / "policy", trained)
    trained.serialize(tmp_path / "policy")
    again = role.deserialize(tmp_path / "policy", ENV, WavesBody(hidden_sizes=(8,)), key=jr.key(2))
    assert eqx.tree_equal(load_policy(tmp_path / "policy"), trained)
    assert eqx.tree_equal(again, trained)


def test_critics_beside_the_policy_get_one_of_the_same_shape_with_other_weights():
    env = make("Pendulum-v1")
    policy = SACPolicy(env, WavesBody(hidden_sizes=(8,)), key=jr.key(0))
    critic = QFunction(env.observation_space, env.action_space, like=policy, key=jr.key(1))
    assert critic.body.waves.weight.shape == policy.body.waves.weight.shape
    assert changed(policy.body, critic.body)
    SAC(**OFF).learn(env, policy, total_timesteps=32, key=jr.key(2))


def test_it_is_exported(tmp_path):
    policy = ActorCriticPolicy(ENV, WavesBody(hidden_sizes=(8,)), key=jr.key(0))
    to_onnx(policy, output_path=tmp_path / "policy.onnx")
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    session = runtime.InferenceSession(tmp_path / "policy.onnx", providers=["CPUExecutionProvider"])
    for observation in np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32):
        found = session.run(
            None, {"observation": observation[None] if session.get_inputs()[0].shape[1:] else observation}
        )
        assert int(np.ravel(found[0])[0]) == int(policy(None, jnp.asarray(observation))[1])


def test_a_memory_of_ones_own_makes_the_policy_a_stateful_one(tmp_path):
    policy = QPolicy(Spaces(VECTOR, CHOICE), TwoFramesBody(), key=jr.key(0))
    assert type(policy) is StatefulQPolicy
    first, second = jnp.ones(3), jnp.arange(3.0)
    state, _ = policy.q_values(policy.reset(key=jr.key(0)), first)
    _, after = policy.q_values(state, second)
    _, alone = policy.q_values(policy.reset(key=jr.key(0)), second)
    assert not np.allclose(after, alone)
    save_policy(tmp_path / "policy", policy)
    assert eqx.tree_equal(load_policy(tmp_path / "policy"), policy)


def test_a_kind_is_found_by_its_word_and_belongs_to_one_record():
    assert BODIES["waves"] is WavesBody
    with pytest.raises(ValueError, match="kind = 'mlp' belongs to MLPBody"):

        class Mine(AbstractBodyRecord):
            kind: ClassVar[str] = "mlp"


def test_a_body_that_does_not_fit_is_refused():
    policy = QPolicy(Spaces(VECTOR, CHOICE), WavesBody(), key=jr.key(0))
    with pytest.raises(ValueError, match="network takes 16 features, but the body gives 6"):
        QPolicy.of(TwoFrames(VECTOR), policy.network, CHOICE)
    with pytest.raises(ValueError, match=r"StatelessQPolicy\.body has a memory"):
        StatelessQPolicy(
            observation_space=VECTOR,
            action_space=CHOICE,
            epsilon=0.1,
            body=TwoFrames(VECTOR),
            network=MLP(6, 4, key=jr.key(0)),
            state_value=None,
        )
