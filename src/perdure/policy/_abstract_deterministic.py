"""Policies that give one action, as DDPG and TD3 train them."""

from abc import abstractmethod
from typing import Any

from jaxtyping import Array, Float, Key

from ._base import AbstractPolicy, MaskType, ObsType, StateType
from ._spaces import check_bounded, rescaled


class AbstractDeterministicPolicy(AbstractPolicy[StateType, Float[Array, "..."], ObsType, MaskType]):
    """One action an observation; exploring is up to the algorithm, which adds noise to the normalised action."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "actor" in vars(cls) and "normalized_action" not in vars(
            cls
        ):  # as 0.1 called it: classes of users, whose files stay
            cls.normalized_action = vars(cls)["actor"]  # type: ignore[method-assign]

    @abstractmethod
    def normalized_action(
        self, policy_state: StateType, observation: ObsType
    ) -> tuple[StateType, Float[Array, " size"]]:
        """The next policy state, and the normalised action: flat, each entry in [-1, 1]."""

    def environment_action(self, normalized_action: Float[Array, " size"]) -> Float[Array, "..."]:
        """The action that the environment executes for a normalised one: scaled to the bounds, and clipped to them."""
        return rescaled(check_bounded(self.action_space, type(self).__name__), normalized_action)

    def __call__(
        self,
        state: StateType,
        observation: ObsType,
        *,
        key: Key[Array, ""] | None = None,
        action_mask: MaskType | None = None,
    ) -> tuple[StateType, Float[Array, "..."]]:
        if action_mask is not None:
            raise ValueError(
                f"action_mask given, but action_space is {self.action_space}, which has no choices to bar."
            )
        policy_state, normalized_action = self.normalized_action(state, observation)
        return policy_state, self.environment_action(normalized_action)
