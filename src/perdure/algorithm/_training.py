"""What the loops need to know of an algorithm and of its training state."""

from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

from jaxtyping import Array, Int, Key

from perdure.env import AbstractEnv
from perdure.policy import AbstractPolicy

from ._rollout import Behavior, Rollout, Transition

Metrics = dict[str, Array]


@runtime_checkable
class TrainState(Protocol):
    """A training state: one module of arrays that holds everything."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def env(self) -> AbstractEnv: ...
    @property
    def rollout(self) -> Rollout: ...
    @property
    def key(self) -> Key[Array, ""]: ...
    @property
    def iteration(self) -> Int[Array, ""]: ...
    @property
    def policy(self) -> AbstractPolicy: ...


State = TypeVar("State", bound=TrainState)


def steps_ahead(state: TrainState) -> int:
    """Environment steps that `state` has made beyond those of its iterations, see `_carry_over`; 0 in states without."""
    return int(getattr(state, "steps_ahead", 0))


@runtime_checkable
class Trains(Protocol[State]):
    """An algorithm as the loops see it; what each member means is said at `AbstractAlgorithm`."""

    @property
    def num_envs(self) -> int: ...
    @property
    def num_steps(self) -> int: ...
    @property
    def warmup_rollouts(self) -> int: ...
    @property
    def steps_per_iteration(self) -> int: ...
    @property
    def steps_before_learning(self) -> int: ...
    def begin(self, env: AbstractEnv, policy: AbstractPolicy, *, key: Key[Array, ""]) -> State: ...
    def behavior(self, state: State) -> Behavior: ...
    def store(self, state: State, transitions: Transition) -> State: ...
    def improve(self, state: State, transitions: Transition, *, key: Key[Array, ""]) -> tuple[State, Metrics]: ...
    def iterate(self, state: State) -> tuple[State, Metrics]: ...
