"""Training is finite or stops: with the step, the environment and the value, and with the last finite checkpoint in place."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr
from jaxtyping import Array, Float

from perdure.algorithm import DQN, PPO
from perdure.callback import AbstractCallback, EvalCallback
from perdure.checkpoint import SaveCheckpoints, checkpoints_in, latest, load
from perdure.env import TimeLimit
from perdure.env.adapter import HostEnv
from perdure.env.classic_control import CartPole
from perdure.env.wrapper import AbstractWrapper
from perdure.evaluation import evaluate
from perdure.policy import MLPActorCriticPolicy, MLPQPolicy
from perdure.utils import register
from tests.support.callbacks import ALGORITHM, Notes, begin

gymnasium = pytest.importorskip("gymnasium", reason="the extra `gym` is not installed")
NAN, INF = float("nan"), float("inf")


@register(name="tests.watch.Spoiled")
class Spoiled(AbstractWrapper):
    """Adds to every reward, and to every observation after the first."""

    reward: Float[Array, ""]
    observation: Float[Array, ""]

    def step(self, state, action, *, key):
        step = self.env.step(state, action, key=key)
        observation = step.observation + self.observation
        return step._replace(observation=observation, reward=step.reward + self.reward)


class Spoils(AbstractCallback):
    """Hands in an environment with another value after `frequency` steps."""

    def __init__(self, field, value, frequency):
        self.field, self.value, self.frequency = field, value, frequency

    def new_env(self, record):
        if record.step < self.frequency:
            return None
        return eqx.tree_at(lambda env: getattr(env, self.field), record.state.env, jnp.asarray(self.value))


def spoiled(limit):
    return Spoiled(TimeLimit(CartPole(), limit), jnp.zeros(()), jnp.zeros(()))


@pytest.mark.parametrize(
    ("field", "value", "limit", "told"),
    [
        ("reward", NAN, 10, r"step 60 to 80: the return of an episode is nan\. Look at the rewards"),
        ("reward", INF, 10, r"step 60 to 80: the return of an episode is inf"),
        ("reward", NAN, 500, r"step 60 to 80: the return of (an episode|environment [01]) is nan"),
        ("observation", NAN, 500, r"step 60 to 80: the observation of environment [01]\[0\] is nan"),
    ],
)
def test_a_native_training_stops_in_the_iteration_that_met_it(field, value, limit, told, tmp_path):
    notes = Notes(20)
    saver = SaveCheckpoints("run", frequency=20, keep_last=1, directory=tmp_path)
    state = begin(spoiled(limit))
    with pytest.raises(ValueError, match=told):
        ALGORITHM.run(state, 400, callbacks=[notes, saver, Spoils(field, value, 60)])
    assert [record.step for record in notes.records] == [20, 40, 60]  # none is told of a state that is not finite
    assert notes.hooks == ["start", "end"]
    kept = load(latest(tmp_path / "run" / "saves"))
    assert ALGORITHM.steps_taken(kept.state) == 60
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(eqx.filter(kept.policy, eqx.is_inexact_array)))


def test_weights_that_are_not_finite_stop_it_before_the_first_step():
    state = begin()
    broken = eqx.tree_at(lambda s: s.policy.actor.layers[0].bias, state, replace_fn=lambda x: x.at[1].set(NAN))
    notes = Notes()
    with pytest.raises(ValueError, match=r"step 0: 'policy\.actor\.layers\.0\.bias'\[1\] is nan"):
        ALGORITHM.run(broken, 20, callbacks=[notes])
    assert notes.hooks == []


def test_a_loss_that_grows_beyond_all_numbers_stops_it():
    wild = PPO(num_envs=2, num_steps=10, num_minibatches=1, num_epochs=4, learning_rate=1e38)
    with pytest.raises(ValueError, match=r"Training stopped at step \d+( to \d+)?: .* (is|are) -?(nan|inf)"):
        wild.run(begin(algorithm=wild), 400)


class Counter(gymnasium.Env):
    """Episodes of ten steps; what its `bad`-th step gives is spoiled."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, bad=-1, reward=1.0, observation=0.0):
        self.bad, self.reward, self.observation, self.steps = bad, reward, observation, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.in_episode = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.steps, self.in_episode = self.steps + 1, self.in_episode + 1
        observation, reward = self.np_random.uniform(-1, 1, 2).astype(np.float32), 1.0
        if self.steps == self.bad:
            if self.reward == "fails":
                raise OSError("no more coins")
            observation[1], reward = self.observation, self.reward
        return observation, reward, False, self.in_episode == 10, {}


def host(second, mode="SameStep"):
    return HostEnv(gymnasium.vector.SyncVectorEnv([Counter, lambda: second], autoreset_mode=mode))


PLACES = [
    ({"reward": NAN}, "the reward of environment 1 is nan"),
    ({"reward": None}, "the reward of environment 1 is nan"),
    ({"reward": -INF}, "the reward of environment 1 is -inf"),
    ({"reward": 1e300}, r"the reward of environment 1 is 1e\+300"),
    ({"observation": NAN}, r"the observation of environment 1\[1\] is nan"),
    ({"observation": INF}, r"the observation of environment 1\[1\] is inf"),
]


@pytest.mark.parametrize(("bad", "told"), PLACES)
@pytest.mark.parametrize("step", [34, 40])  # within an episode, and at its end
def test_a_host_training_stops_at_the_very_step(bad, told, step, tmp_path):
    env, notes = host(Counter(step, **bad)), Notes(20)
    saver = SaveCheckpoints("run", frequency=20, keep_last=1, directory=tmp_path)
    policy = MLPActorCriticPolicy(env, hidden_sizes=(4,), key=jr.key(0))
    state = ALGORITHM.init(env, policy, key=jr.key(1))
    with pytest.raises(ValueError, match=rf"Training stopped at step {2 * step}: {told}"):
        ALGORITHM.run(state, 400, callbacks=[notes, saver], env=env)
    assert notes.hooks == ["start", "end"]
    kept = load(latest(tmp_path / "run" / "saves"), env=host(Counter()))
    assert ALGORITHM.steps_taken(kept.state) == 60
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(eqx.filter(kept.state, eqx.is_inexact_array)))


@pytest.mark.parametrize("mode", ["SameStep", "NextStep", "Disabled"])
def test_it_stops_in_the_warm_up_too(mode):
    env = host(Counter(7, reward=NAN), mode)
    dqn = DQN(num_envs=2, num_steps=5, batch_size=4, capacity=40, learning_starts=20)
    with pytest.raises(ValueError, match="Training stopped at step 14: the reward of environment 1 is nan"):
        dqn.init(env, MLPQPolicy(env, hidden_sizes=(4,), key=jr.key(0)), key=jr.key(1))


def test_an_environment_that_fails_loses_nothing_of_what_was_learned(tmp_path):
    env = host(Counter(34, reward="fails"))
    saver = SaveCheckpoints("run", frequency=1000, directory=tmp_path)
    state = ALGORITHM.init(env, MLPActorCriticPolicy(env, hidden_sizes=(4,), key=jr.key(0)), key=jr.key(1))
    with pytest.raises(OSError, match="no more coins"):
        ALGORITHM.run(state, 400, callbacks=[saver], env=env)
    (last,), _ = checkpoints_in(tmp_path / "run" / "saves")
    assert last.steps == 60


def test_evaluation_tells_of_rewards_that_are_not_finite():
    env = host(Counter(3, reward=NAN))
    with pytest.raises(ValueError, match="the reward of environment 1 is nan"):
        evaluate(MLPActorCriticPolicy(env, hidden_sizes=(4,), key=jr.key(0)), env, key=jr.key(1))


def test_a_return_that_is_not_finite_is_never_the_best(monkeypatch):
    returns = iter([1.0, INF, NAN, 0.5])
    monkeypatch.setattr("perdure.callback._evaluation.evaluate", lambda *_, **__: np.array([next(returns)]))
    watch = EvalCallback(spoiled(10), frequency=20)
    ALGORITHM.run(begin(spoiled(10)), 80, callbacks=[watch])
    assert watch.best_return == 1.0
