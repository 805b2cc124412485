"""What every algorithm offers: its role and name, `init`, `run`, `learn`."""

import dataclasses
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar, cast

import equinox as eqx
from jax import random as jr
from jaxtyping import Array, Key

from perdure._core import check_settings
from perdure.callback import AbstractCallback, ProgressBar
from perdure.env import AbstractEnv
from perdure.env.adapter import HostEnv, HostSpec
from perdure.policy import AbstractPolicy

from ._drive import drive
from ._host import init_on_host, resume_on_host, warm_up_on_host
from ._names import unknown_setting
from ._native import init_compiled, warm_up_compiled
from ._role import PolicyRole
from ._rollout import Behavior, Transition, collect
from ._schedule import last_iteration, warn_past_end
from ._training import Metrics, State, steps_ahead

Policy = TypeVar("Policy", bound=AbstractPolicy)


class AbstractAlgorithm(eqx.Module, Generic[State]):
    """Settings and mathematics. The state is apart: `init` makes it, `run` takes it and gives the next one.

    Resuming is exact: running 2n steps gives the same bits as running n steps twice.
    """

    role: eqx.AbstractClassVar[PolicyRole]  # of the policies that it trains
    name: ClassVar[str | None] = None  # for the command line; None: see `name_of_algorithm`

    num_envs: eqx.AbstractVar[int]
    num_steps: eqx.AbstractVar[int]  # of each environment in one iteration

    def __new__(cls, *_: object, **settings: object) -> "AbstractAlgorithm[State]":
        known = [field.name for field in dataclasses.fields(cls)]
        for name, value in settings.items():
            if name not in known:
                raise TypeError(unknown_setting(cls.__name__, name, value, known))
        return super().__new__(cls)

    def __post_init__(self) -> None:
        check_settings(self)  # here, so that every `__check_init__` may trust each field to be in its range

    @abstractmethod
    def begin(self, env: AbstractEnv, policy: AbstractPolicy, *, key: Key[Array, ""]) -> State:
        """A fresh training state that owns everything training needs: networks, optimiser, environments, key.

        Raises: TypeError for a policy of another kind, ValueError for one made for other spaces.
        """

    @abstractmethod
    def behavior(self, state: State) -> Behavior:
        """How one environment is acted on while learning."""

    @abstractmethod
    def store(self, state: State, transitions: Transition) -> State:
        """With transitions kept for learning later; leading axes `(num_steps, num_envs)`."""

    @abstractmethod
    def improve(self, state: State, transitions: Transition, *, key: Key[Array, ""]) -> tuple[State, Metrics]:
        """What one iteration learns from what it collected, leading axes `(num_steps, num_envs)`. Metrics are scalars."""

    @property
    @abstractmethod
    def warmup_rollouts(self) -> int:
        """Rollouts of uniformly drawn actions that are stored before the first iteration."""

    @property
    def steps_per_iteration(self) -> int:
        """Environment steps of one iteration, all environments together."""
        return self.num_envs * self.num_steps

    @property
    def steps_before_learning(self) -> int:
        """Environment steps that `init` takes already."""
        return self.warmup_rollouts * self.steps_per_iteration

    def init(self, env: AbstractEnv | HostEnv, policy: AbstractPolicy, *, key: Key[Array, ""]) -> State:
        """A fresh training state, with the warm-up stored: uniformly drawn legal actions.

        Raises: TypeError for a policy of another kind, ValueError for one made for other spaces, or if a host environment
        is not `num_envs` environments.
        """
        if isinstance(env, HostEnv):
            return init_on_host(self, env, policy, key=key)
        return init_compiled(self, env, policy, key=key)

    def refill(self, state: State, *, env: HostEnv | None = None) -> State:
        """A state that was loaded without its replay buffer, with the warm-up stored anew. These steps are not counted."""
        if not self.warmup_rollouts:
            return state
        if env is None:
            return warm_up_compiled(self, state)
        return warm_up_on_host(self, env, resume_on_host(self, env, state))

    def iterate(self, state: State) -> tuple[State, Metrics]:
        """One iteration: collect, then learn. Metrics are scalars, and sums over the episodes that ended."""
        key, key_collect, key_improve = jr.split(state.key, 3)
        rollout, transitions, episodes = collect(
            state.env, state.policy, self.behavior(state), state.rollout, self.num_steps, key=key_collect
        )
        state = eqx.tree_at(lambda s: (s.rollout, s.key), state, (rollout, key))
        state, metrics = self.improve(state, transitions, key=key_improve)
        return state, {**metrics, **episodes}

    def steps_taken(self, state: State) -> int:
        """Environment steps since `init`, all environments together, also where settings have changed since."""
        return self.steps_before_learning + int(state.iteration) * self.steps_per_iteration + steps_ahead(state)

    def run(
        self,
        state: State,
        steps: int,
        *,
        episodes: int | None = None,
        callbacks: Sequence[AbstractCallback] = (),
        env: HostEnv | None = None,
    ) -> State:
        """The state after at least `steps` more environment steps (whole iterations). `state` itself stays valid.

        With `episodes` it ends earlier, after the iteration in which so many have ended.

        `env` is the host environment of a training on one; if it has moved on since, its episodes begin anew, with a
        warning. Ctrl-C ends it early: the state up to there is returned, with a warning. SIGTERM ends it early too, and
        then the program, with exit status 143; callbacks are told of the end before. A second one acts at once.

        Raises: ValueError if `steps` or `episodes` is below 1, TypeError if `env` is missing or not wanted.
        """
        if isinstance(state.env, HostSpec) != (env is not None):
            wanted = (
                f"on the host environment {state.env.name}; pass it as env="
                if env is None
                else "native; leave out env="
            )
            raise TypeError(f"This training state is of a training {wanted}.")
        if steps < 1:
            raise ValueError(f"steps={steps}, but training needs at least one environment step.")
        if episodes is not None and episodes < 1:
            raise ValueError(f"episodes={episodes}, but at least one is needed. Leave it out to go by steps alone.")
        iterations = -(-steps // self.steps_per_iteration)
        last = last_iteration(int(state.iteration), iterations, may_end_before=episodes is not None)
        sure = last - 1 if episodes is None else int(state.iteration)  # an iteration that is certain to come
        begins = self.steps_before_learning + sure * self.steps_per_iteration
        warn_past_end(type(self).__name__, getattr(self, "anneal_timesteps", None), begins)
        if env is None:
            return drive(self, state, last, episodes, callbacks)
        return drive(self, resume_on_host(self, env, state), last, episodes, callbacks, env)

    def train(
        self,
        env: AbstractEnv | HostEnv,
        policy: AbstractPolicy,
        *,
        total_timesteps: int,
        key: Key[Array, ""],
        callbacks: Sequence[AbstractCallback] | None = None,
    ) -> State:
        """`init`, then `run` up to at least `total_timesteps` environment steps (whole iterations): the whole state.

        `callbacks` defaults to a progress bar. Ctrl-C ends it early: the state up to there is returned, with a warning.

        Raises: ValueError if `total_timesteps` is below one iteration.
        """
        least = self.steps_before_learning + self.steps_per_iteration
        if total_timesteps < least:
            raise ValueError(
                f"total_timesteps={total_timesteps}, but {type(self).__name__} learns for the first time after {least} "
                f"environment steps. Set total_timesteps to at least {least}, or make the rollout smaller."
            )
        state = self.init(env, policy, key=key)
        callbacks = [ProgressBar()] if callbacks is None else callbacks
        steps, host = total_timesteps - self.steps_before_learning, env if isinstance(env, HostEnv) else None
        return self.run(state, steps, callbacks=callbacks, env=host)

    def learn(
        self,
        env: AbstractEnv | HostEnv,
        policy: Policy,
        *,
        total_timesteps: int,
        key: Key[Array, ""],
        callbacks: Sequence[AbstractCallback] | None = None,
    ) -> Policy:
        """The policy of `train`: one of the same kind as `policy`, trained for at least `total_timesteps` steps."""
        state = self.train(env, policy, total_timesteps=total_timesteps, key=key, callbacks=callbacks)
        return cast(Policy, state.policy)
