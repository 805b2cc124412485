"""Each wrapper changes the one thing it is for."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr
from jaxtyping import Array, Float, Key

from perdure.env import (
    AbstractEnv,
    ClipAction,
    FlattenObservation,
    FrameStack,
    Identity,
    NormalizeObservation,
    NormalizeReward,
    RescaleAction,
    TimeLimit,
    TimeStep,
    TransformObservation,
    autoreset,
    probe,
)
from perdure.env.classic_control import CartPole, Pendulum
from perdure.space import Box, Dict, Discrete

KEY = jr.key(0)
UPRIGHT = jnp.zeros(4, jnp.float32)
FALLING = jnp.asarray([0.0, 0.0, 0.2, 5.0], jnp.float32)
PUSH = jnp.asarray(1)


class Echo(AbstractEnv):
    """Shows the last action, which may be anything, in a dict beside a choice."""

    @property
    def observation_space(self) -> Dict:
        return Dict(action=Box(-10, 10, (2,)), choice=Discrete(3, start=1))

    @property
    def action_space(self) -> Box:
        return Box([-1, 0], [3, 0.7])

    def observe(self, action: Any) -> dict[str, Any]:
        return {"action": action, "choice": jnp.asarray(2)}

    def reset(self, *, key: Key[Array, ""]) -> tuple[Any, Any]:
        return jnp.zeros(()), self.observe(jnp.zeros(2))

    def step(self, state: Any, action: Float[Array, "2"], *, key: Key[Array, ""]) -> TimeStep:
        return TimeStep(state, self.observe(action), action.sum(), jnp.asarray(False), jnp.asarray(False))


def echoed(env: AbstractEnv, action: list[float]) -> Any:
    state, _ = env.reset(key=KEY)
    return env.step(state, jnp.asarray(action, jnp.float32), key=KEY).observation["action"]


def test_unwrapped_is_the_task_itself() -> None:
    env = CartPole()
    assert TimeLimit(Identity(TimeLimit(env, 3)), 5).unwrapped is env
    assert env.unwrapped is env


def test_identity_changes_nothing() -> None:
    step, plain = (env.step(UPRIGHT, PUSH, key=KEY) for env in (Identity(CartPole()), CartPole()))
    assert all(np.array_equal(a, b) for a, b in zip(step, plain, strict=True))
    assert Identity(CartPole()).name == CartPole().name


def test_masks_pass_through_every_wrapper() -> None:
    masked = probe.Masked()
    wrapped = NormalizeReward(NormalizeObservation(FlattenObservation(TimeLimit(Identity(masked), 5))))
    state, _ = wrapped.reset(key=KEY)
    assert np.array_equal(wrapped.action_mask(state), masked.action_mask(masked.reset(key=KEY)[0]))
    assert TimeLimit(CartPole(), 3).action_mask(TimeLimit(CartPole(), 3).reset(key=KEY)[0]) is None


def test_a_time_limit_truncates_at_its_step_and_does_not_terminate() -> None:
    env = TimeLimit(CartPole(), 2)
    first = env.step(env.reset(key=KEY)[0], PUSH, key=KEY)
    second = env.step(first.state, PUSH, key=KEY)
    assert (bool(first.terminated), bool(first.truncated)) == (False, False)
    assert (bool(second.terminated), bool(second.truncated)) == (False, True)


def test_a_step_that_terminates_at_the_limit_is_terminated() -> None:
    env = TimeLimit(CartPole(), 1)
    state = env.reset(key=KEY)[0]._replace(env_state=FALLING)
    assert bool(env.step(state, PUSH, key=KEY).terminated)


def test_an_inner_truncation_stays() -> None:
    env = TimeLimit(TimeLimit(CartPole(), 1), 5)
    assert bool(env.step(env.reset(key=KEY)[0], PUSH, key=KEY).truncated)


def test_clip_action_clips_to_the_bounds_of_the_environment() -> None:
    env = ClipAction(Echo())
    np.testing.assert_array_equal(echoed(env, [5, -2]), np.float32([3, 0]))
    np.testing.assert_array_equal(echoed(env, [0.5, 0.5]), np.float32([0.5, 0.5]))
    assert env.action_space == Box(-np.inf, np.inf, (2,))


def test_rescale_action_maps_ends_to_ends_exactly() -> None:
    env = RescaleAction(Echo())
    np.testing.assert_array_equal(echoed(env, [-1, -1]), Echo().action_space.low)
    np.testing.assert_array_equal(echoed(env, [1, 1]), Echo().action_space.high)
    np.testing.assert_allclose(echoed(env, [0, 0]), [1, 0.35])  # the middles
    np.testing.assert_allclose(echoed(RescaleAction(Echo(), 0.0, 10.0), [5, 5]), [1, 0.35])
    assert env.action_space == Box(-1, 1, (2,))


@pytest.mark.parametrize("wrapper", [ClipAction, RescaleAction])
def test_action_wrappers_refuse_choices(wrapper: Any) -> None:
    with pytest.raises(TypeError, match=rf"{wrapper.__name__} needs a continuous action space .* CartPole is Discrete"):
        wrapper(CartPole())


def test_rescale_action_refuses_unbounded_actions_and_empty_ranges() -> None:
    with pytest.raises(ValueError, match="RescaleAction needs finite bounds"):
        RescaleAction(ClipAction(Pendulum()))
    with pytest.raises(ValueError, match=r"RescaleAction.low = 1.0 is not below RescaleAction.high = 1.0"):
        RescaleAction(Pendulum(), 1.0, 1.0)


def test_transform_observation_shows_the_function_of_every_observation() -> None:
    env = TransformObservation(CartPole(), lambda x: x[jnp.asarray([0, 2])], Box(-4.8, 4.8, (2,)))
    state, observation = env.reset(key=KEY)
    assert observation.tolist() == [float(state[0]), float(state[2])]
    step = env.step(FALLING, PUSH, key=KEY)
    assert step.observation.shape == (2,)
    assert float(step.observation[1]) == pytest.approx(0.3)
    assert autoreset(env, step, key=KEY)[1].tolist() == observation.tolist()


def test_flatten_observation_gives_numbers_and_one_hot_choices() -> None:
    env = FlattenObservation(Echo())
    step = env.step(jnp.zeros(()), jnp.asarray([2.0, 0.5]), key=KEY)
    assert step.observation.tolist() == [2, 0.5, 0, 1, 0]  # choice 2 of 1, 2, 3
    assert env.observation_space == Box([-10, -10, 0, 0, 0], [10, 10, 1, 1, 1])


class HostStep(NamedTuple):
    reward: float
    terminated: bool


def rollout(env: AbstractEnv, length: int, seed: int = 1) -> Any:
    """Random actions with auto-reset: (observation acted on, the true successor, reward, terminated) by step."""

    def act(carry: Any, key: Any) -> Any:
        state, observation = carry
        step = env.step(state, env.action_space.sample(key=key), key=key)
        return autoreset(env, step, key=key), (observation, step.observation, step.reward, step.terminated)

    return jax.jit(lambda key: jax.lax.scan(act, env.reset(key=key), jr.split(key, length)))(jr.key(seed))[1]


def test_normalize_reward_is_gymnasiums() -> None:
    gymnasium = pytest.importorskip("gymnasium", reason="compares with the real Gymnasium (extra gym)")

    class Replay(gymnasium.Env):
        """Gives recorded rewards and ends."""

        def __init__(self, steps: list[HostStep]):
            self.steps = iter(steps)

        def step(self, action: Any) -> Any:
            reward, terminated = next(self.steps)
            return 0, reward, terminated, False, {}

    _, _, reward, terminated = rollout(CartPole(), 200)
    _, _, ours, _ = rollout(NormalizeReward(CartPole(), 0.9), 200)
    assert 3 < int(terminated.sum()) < 50
    steps = [HostStep(float(r), bool(t)) for r, t in zip(reward, terminated, strict=True)]
    theirs = gymnasium.wrappers.NormalizeReward(Replay(steps), gamma=0.9)
    np.testing.assert_allclose(ours, [theirs.step(0)[1] for _ in steps], rtol=1e-3)


def test_normalize_observation_keeps_its_statistics_from_episode_to_episode() -> None:
    observation, successor, _, terminated = rollout(CartPole(), 200)
    first, seen, _, _ = rollout(NormalizeObservation(CartPole()), 200)
    # All that was shown until the last step: first observation, successors, first ones of new episodes.
    rows = [observation[0]]
    for i in range(200):
        rows.append(successor[i])
        if bool(terminated[i]) and i + 1 < 200:
            rows.append(observation[i + 1])
    history = np.asarray(rows, np.float64)
    expected = (history[-1] - history.mean(0)) / history.std(0)
    np.testing.assert_allclose(seen[-1], expected, rtol=2e-3, atol=2e-3)
    assert np.isfinite(first).all()
    assert NormalizeObservation(CartPole()).carries_over
    assert TimeLimit(NormalizeObservation(CartPole()), 3).carries_over
    assert not TimeLimit(CartPole(), 3).carries_over


def test_normalizers_refuse_what_they_cannot_do() -> None:
    with pytest.raises(TypeError, match=r"NormalizeObservation needs a Box.*Wrap it in FlattenObservation first"):
        NormalizeObservation(Echo())
    with pytest.raises(ValueError, match=r"NormalizeReward.discount = 1.5"):
        NormalizeReward(CartPole(), 1.5)


def test_a_frame_stack_shows_the_last_observations_and_begins_anew_with_an_episode():
    env = FrameStack(TransformObservation(CartPole(), lambda x: x[:2], Box(-9, 9, (2,))), 3)
    state, first = env.reset(key=KEY)
    np.testing.assert_array_equal(first, np.tile(first[:2], 3))
    seen = [first[:2]] * 3
    for _ in range(4):
        step = env.step(state, PUSH, key=KEY)
        state, seen = step.state, [*seen[1:], step.state.env_state[:2]]
        np.testing.assert_array_equal(step.observation, jnp.concatenate(seen))
    step = env.step(state._replace(env_state=FALLING), PUSH, key=KEY)
    assert bool(step.terminated)
    np.testing.assert_array_equal(step.observation[:4], jnp.concatenate(seen[1:]))  # the true successor comes last
    np.testing.assert_array_equal(autoreset(env, step, key=KEY)[1], np.tile(first[:2], 3))


def test_a_frame_stack_of_images_is_an_image():
    class Image(AbstractEnv):
        observation_space = Box(0, 255, (5, 4, 2), np.uint8)
        action_space = Discrete(2)

        def reset(self, *, key):
            return jnp.zeros(()), jnp.full((5, 4, 2), 7, jnp.uint8)

        def step(self, state, action, *, key):
            raise NotImplementedError

    env = FrameStack(Image(), 4)
    assert env.observation_space == Box(0, 255, (5, 4, 8), np.uint8)
    assert env.observation_space.contains(env.reset(key=KEY)[1])


def test_a_frame_stack_needs_arrays_and_two_frames():
    with pytest.raises(ValueError, match="num_frames = 1"):
        FrameStack(CartPole(), 1)
    with pytest.raises(TypeError, match="Echo shows Dict"):
        FrameStack(Echo(), 4)
