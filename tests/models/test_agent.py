"""Agents: the same seven words for every algorithm, thin over the functional core."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure import models
from perdure._core import FileFormatError, dumps_json, sha256
from perdure.checkpoint import save
from perdure.env import TimeLimit, make
from perdure.env.classic_control import CartPole
from perdure.models import Agent
from perdure.policy import MLPActorCriticPolicy
from perdure.utils import set_seed
from tests.support.bits import bits

SHORT = TimeLimit(CartPole(), 20)
SMALL = {"policy_settings": {"hidden_sizes": (8,)}, "seed": 0}
ON = {"num_envs": 2, "num_steps": 8}
OFF = {"batch_size": 8, "capacity": 64, "learning_starts": 10}
AGENTS = {
    "PPO": (models.PPO, SHORT, ON | {"num_minibatches": 2}),
    "A2C": (models.A2C, SHORT, ON),
    "REINFORCE": (models.REINFORCE, SHORT, ON),
    "DQN": (models.DQN, SHORT, OFF),
    "QRDQN": (models.QRDQN, SHORT, OFF),
    "DDPG": (models.DDPG, make("Pendulum-v1"), OFF),
    "TD3": (models.TD3, make("Pendulum-v1"), OFF),
    "SAC": (models.SAC, make("Pendulum-v1"), OFF),
    "TQC": (models.TQC, make("Pendulum-v1"), OFF),
    "DiscreteSAC": (models.DiscreteSAC, SHORT, OFF),
}


def new(name, **more):
    cls, env, settings = AGENTS[name]
    return cls(env, **(SMALL | settings | more))


@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_trains_predicts_saves_and_goes_on_to_the_bit(name, tmp_path):
    agent = new(name).train(total_timesteps=32, callbacks=())
    observation = agent.policy.observation_space.canonical()
    action, policy_state = agent.predict(observation)
    assert policy_state is None
    np.testing.assert_allclose(action, agent.policy(None, observation)[1], rtol=1e-6)
    assert agent.policy.action_space.contains(jnp.asarray(action))
    has_buffer = hasattr(agent.training_state, "buffer")
    agent.save(tmp_path / "run" / "a", buffer=has_buffer, config=True)
    assert json.loads((tmp_path / "run" / "model_config.json").read_text())["algorithm"] == name
    loaded = type(agent).load(tmp_path / "run" / "a", buffer=has_buffer)
    assert bits(loaded.training_state) == bits(agent.training_state)
    assert loaded.algorithm == agent.algorithm
    for one in (agent, loaded):
        one.train(total_timesteps=32, callbacks=())
    assert bits(loaded.training_state) == bits(agent.training_state)
    assert agent.algorithm.steps_taken(agent.training_state) == agent.algorithm.steps_before_learning + 64


def test_training_ends_after_so_many_episodes():
    agent = models.PPO(SHORT, **SMALL, num_envs=1, num_steps=4, num_minibatches=1)
    agent.train(num_episodes=3, callbacks=())
    steps = agent.algorithm.steps_taken(agent.training_state)
    assert 3 * 8 <= steps <= 64
    at = int(agent.training_state.rollout.episode_length[0])
    assert at < 4  # it ended with the rollout in which the third episode did


def test_max_steps_truncates_episodes():
    agent = models.PPO(CartPole(), **SMALL, **ON)
    agent.train(num_episodes=30, max_episode_steps=5, callbacks=())
    assert agent.training_state.env == TimeLimit(CartPole(), 5)
    assert int(agent.training_state.rollout.episode_length.max()) < 5


def test_settings_given_to_train_are_those_of_the_algorithm():
    agent = new("DDPG").train(
        batch_size=4, total_timesteps=8, exploration_noise=0.5, discount=0.9, tau=0.1, callbacks=()
    )
    algorithm = agent.algorithm
    assert (algorithm.batch_size, algorithm.exploration_noise, algorithm.discount, algorithm.tau) == (4, 0.5, 0.9, 0.1)
    with pytest.raises(ValueError, match=r"tau=0\.1, but PPO has no tau"):
        new("PPO").train(total_timesteps=16, tau=0.1)
    with pytest.raises(ValueError, match="batch_size=0"):
        new("PPO").train(batch_size=0)
    with pytest.raises(ValueError, match="num_episodes=0"):
        new("PPO").train(num_episodes=0)


def test_batch_size_of_an_on_policy_algorithm_is_that_of_a_minibatch():
    agent = new("PPO").train(batch_size=12, total_timesteps=24, callbacks=())
    assert (agent.algorithm.num_steps, agent.algorithm.num_minibatches) == (12, 2)


def test_the_same_seed_gives_the_same_agent_also_from_the_global_generator():
    def train(seed):
        return new("PPO", seed=seed).train(total_timesteps=16, callbacks=())

    assert bits(train(3).training_state) == bits(train(3).training_state) != bits(train(4).training_state)
    set_seed(64)
    one = train(None)
    set_seed(64)
    assert bits(train(None).training_state) == bits(one.training_state)


def test_predict_takes_one_observation_or_a_batch_and_explores_only_while_training():
    agent = new("DDPG")
    batch = np.random.default_rng(0).normal(size=(5, 3))
    actions, _ = agent.predict(batch)
    assert actions.shape == (5, 1)
    for observation, action in zip(batch, actions, strict=True):
        np.testing.assert_allclose(agent.predict(observation.tolist())[0], action, atol=1e-6)
    assert (agent.predict(batch, deterministic=False, exploration_noise=0.0)[0] == actions).all()
    noisy = agent.predict(batch, deterministic=False, exploration_noise=0.5)[0]
    assert (noisy != agent.predict(batch, deterministic=False, exploration_noise=0.5)[0]).any()
    with pytest.raises(ValueError, match=r"observation has shape \(4,\)"):
        agent.predict(np.zeros(4))


@pytest.mark.parametrize(
    ("observation", "message"),
    [
        ([0.0, np.nan, 0.0], r"observation\[1\] = nan, but every number must be finite"),
        ([[0.0, 0.0, 0.0], [0.0, 0.0, np.inf]], r"observation\[1, 2\] = inf"),
        ([0.0, 1e300, 0.0], r"observation\[1\] = 1e\+300, but .* holds float32 numbers"),
        ("abc", "observation is of dtype <U3"),
    ],
)
def test_predict_refuses_what_is_no_observation_by_name(observation, message):
    with pytest.raises(ValueError, match=message):
        new("DDPG").predict(observation)


def test_predict_carries_the_memory():
    agent = models.PPO("CartPole-v1", policy="recurrent", policy_settings={"memory_size": 4}, seed=0)
    observation = np.full(4, 0.1)
    _, policy_state = agent.predict(observation)
    expected = agent.policy(agent.policy.reset(key=jr.key(0)), jnp.asarray(observation, jnp.float32))[0]
    np.testing.assert_allclose(jax.tree.leaves(policy_state)[0], jax.tree.leaves(expected)[0], atol=1e-6)
    _, later = agent.predict(observation, policy_state)
    assert (jax.tree.leaves(later)[0] != jax.tree.leaves(policy_state)[0]).any()


def test_evaluate_tells_what_the_policy_earns():
    summary = new("PPO").evaluate(TimeLimit(CartPole(), 3), num_episodes=4)
    assert (summary.episodes, summary.mean) == (4, 3.0)


def test_an_agent_is_loaded_by_its_own_class_or_by_agent(tmp_path):
    new("PPO").train(total_timesteps=16, callbacks=()).save(tmp_path / "a")
    with pytest.raises(TypeError, match=r"holds PPO \(PPO\), not DQN"):
        models.DQN.load(tmp_path / "a")
    assert type(Agent.load(tmp_path / "a").algorithm).__name__ == "PPO"


def test_an_earlier_state_is_replaced_only_by_force(tmp_path):
    agent = new("PPO").train(total_timesteps=16, callbacks=())
    agent.save(tmp_path / "a")
    with pytest.raises(FileExistsError, match="force=True"):
        agent.save(tmp_path / "a")
    agent.train(total_timesteps=16, callbacks=()).save(tmp_path / "a", force=True)
    assert Agent.load(tmp_path / "a").algorithm.steps_taken(Agent.load(tmp_path / "a").training_state) == 32
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_buffers_come_along_only_on_request(tmp_path):
    agent = new("DQN").train(total_timesteps=32, callbacks=())
    agent.save(tmp_path / "without")
    assert not (tmp_path / "without" / "buffer_state.safetensors").exists()
    with pytest.raises(ValueError, match="was saved without one"):
        Agent.load(tmp_path / "without", buffer=True)
    loaded = Agent.load(tmp_path / "without")
    assert int(loaded.training_state.buffer.blocks_written) == 0
    loaded.train(total_timesteps=16, callbacks=())  # fills it again first
    assert int(loaded.training_state.buffer.blocks_written) == loaded.algorithm.warmup_rollouts + 1
    ppo = new("PPO").train(total_timesteps=16, callbacks=())
    with pytest.raises(ValueError, match="PPO has no replay buffer"):
        ppo.save(tmp_path / "ppo", buffer=True)


def test_a_state_saved_without_an_agent_is_one_for_an_agent(tmp_path):
    agent = new("PPO").train(total_timesteps=16, callbacks=())
    save(tmp_path / "a", agent.algorithm, agent.training_state)
    assert bits(Agent.load(tmp_path / "a").training_state) == bits(agent.training_state)


def test_metadata_without_a_field_is_named(tmp_path):
    new("PPO").train(total_timesteps=16, callbacks=()).save(tmp_path / "a")
    path = tmp_path / "a" / "metadata.json"
    whole = json.loads(path.read_text())
    for field in ("algorithm", "settings", "policy", "env", "files", "metadata"):
        head = {name: value for name, value in whole.items() if name not in (field, "digest")}
        path.write_bytes(dumps_json({**head, "digest": sha256(dumps_json(head))}))
        with pytest.raises(FileFormatError, match=rf"metadata\.json: '{field}' is missing"):
            Agent.load(tmp_path / "a")


def test_a_damaged_file_is_named(tmp_path):
    new("PPO").train(total_timesteps=16, callbacks=()).save(tmp_path / "a")
    path = tmp_path / "a" / "optim_state.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"optim_state.safetensors: not what was saved"):
        Agent.load(tmp_path / "a")


def test_what_cannot_be_done_says_why(tmp_path):
    agent = Agent(models.PPO.algorithm_class(), MLPActorCriticPolicy(SHORT, key=jr.key(0)), seed=0)
    with pytest.raises(ValueError, match="no environment to train on"):
        agent.train()
    with pytest.raises(ValueError, match="never trained"):
        agent.save(tmp_path / "a")
    with pytest.raises(ValueError, match="policy='transformer' is not known"):
        models.PPO("CartPole-v1", policy="transformer")
    with pytest.raises(TypeError, match="learning_rte"):
        models.PPO("CartPole-v1", learning_rte=1e-3)


def test_an_exported_agent_is_verified(tmp_path):
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    report = new("PPO").export(tmp_path / "out", num_observations=50)
    assert (tmp_path / "out" / "manifest.json").exists()
    assert report.targets
