"""Videos of the policy at work."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import random as jr
from jaxtyping import Array, Key, PyTree, UInt8

from perdure._core import Action, Observation, check_counts, import_extra
from perdure.env import AbstractEnv
from perdure.env.adapter import HostEnv, can_draw, draw
from perdure.policy import AbstractPolicy, check_same_spaces

from ._base import AbstractCallback, Record
from ._evaluation import check_is_another


@final
class RecordVideos(AbstractCallback):
    """Plays an episode with the best actions every `frequency` environment steps, and writes it as `step-NNN.mp4`.

    `env` is a classic control task of ours, or one of Gymnasium's (a `gymnasium.Env` or a `HostEnv`, whose first environment
    is shown) made with `render_mode="rgb_array"` and not the one of training. The episode begins the same every time and is
    shown for `max_steps` steps at most. Needs extra `video` (imageio with its own ffmpeg).

    Raises: MissingExtraError without imageio-ffmpeg; ValueError for an environment that shows no pictures or numbers below 1;
    at the start of training ValueError if the policy is for other spaces, or for the training's own host environment.
    """

    def __init__(
        self,
        dirpath: str | Path,
        env: object,
        *,
        frequency: int = 10_000,
        max_steps: int = 500,
        fps: int = 30,
        key: Key[Array, ""] | None = None,
    ):
        import_extra("imageio_ffmpeg", "video")
        check_counts(frequency=frequency, max_steps=max_steps, fps=fps)
        env = env if isinstance(env, AbstractEnv | HostEnv) else HostEnv(env)
        if isinstance(env, AbstractEnv) and not can_draw(env):
            raise ValueError(f"There are no pictures of {env.name}, only of the classic control tasks.")
        if isinstance(env, HostEnv) and env.envs.render_mode != "rgb_array":
            raise ValueError(
                f"{env.name} has render_mode={env.envs.render_mode!r}. Make it with render_mode='rgb_array'."
            )
        self.dirpath, self.env, self.frequency, self.max_steps, self.fps = Path(dirpath), env, frequency, max_steps, fps
        self.key = jr.key(0) if key is None else key
        self.paths: list[Path] = []  # what was written

    def on_start(self, record: Record) -> None:
        check_same_spaces(record.state.policy, self.env)
        check_is_another(self.env, record)

    def on_chunk(self, record: Record) -> bool:
        self.dirpath.mkdir(parents=True, exist_ok=True)
        path = self.dirpath / f"step-{record.step:09d}.mp4"
        policy, env, limits = record.state.policy, self.env, (self.max_steps, self.key)
        frames = (
            native_frames(policy, env, *limits) if isinstance(env, AbstractEnv) else host_frames(policy, env, *limits)
        )
        imageio = import_extra("imageio", "video")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)  # what is forked becomes ffmpeg at once
            with imageio.get_writer(path, fps=self.fps, macro_block_size=2) as writer:
                for frame in frames:
                    writer.append_data(frame)
        self.paths.append(path)
        return False


def native_frames(
    policy: AbstractPolicy, env: AbstractEnv, max_steps: int, key: Key[Array, ""]
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Pictures of one episode."""
    states, length = episode(policy, env, max_steps, key)
    states, length = jax.device_get((states, length))
    for i in range(int(length)):
        yield draw(env, jax.tree.map(lambda x, i=i: x[i], states))


@eqx.filter_jit
def episode(policy: AbstractPolicy, env: AbstractEnv, max_steps: int, key: Key[Array, ""]) -> tuple[PyTree, Array]:
    """The states of one episode, and how many of them belong to it."""
    key_env, key_policy, key_steps = jr.split(key, 3)
    state, observation = env.reset(key=key_env)

    def step(carry: PyTree, key: Key[Array, ""]) -> tuple[PyTree, tuple[PyTree, Array]]:
        state, observation, policy_state, over = carry
        policy_state, action = policy(policy_state, observation, key=None, action_mask=env.action_mask(state))
        result = env.step(state, action, key=key)
        ends = over | result.terminated | result.truncated
        return (result.state, result.observation, policy_state, ends), (state, over)

    start = state, observation, policy.reset(key=key_policy), jnp.zeros((), bool)
    _, (states, over) = jax.lax.scan(step, start, jr.split(key_steps, max_steps))
    return states, (~over).sum()


def host_frames(
    policy: AbstractPolicy, env: HostEnv, max_steps: int, key: Key[Array, ""]
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Pictures of one episode, as the first of the environments renders it."""
    key_env, key_policy = jr.split(key)
    observation = env.reset(seed=int(jr.bits(key_env)) % 2**31)
    policy_state = jax.vmap(lambda k: policy.reset(key=k))(jr.split(key_policy, env.num_envs))
    for _ in range(max_steps):
        yield np.asarray(env.envs.render()[0])
        policy_state, action = act(policy, policy_state, observation, env.action_mask)
        step = env.step(action)
        observation = step.observation
        if step.terminated[0] or step.truncated[0]:
            return


@eqx.filter_jit
def act(
    policy: AbstractPolicy, policy_state: PyTree, observation: Observation, mask: np.ndarray | Array | None
) -> tuple[PyTree, Action]:
    """The next states and the best actions of all environments."""
    return jax.vmap(lambda state, x, mask: policy(state, x, key=None, action_mask=mask))(
        policy_state, observation, mask
    )
