"""From the last layer of a network to an action: the distribution over raw actions, and what the environment executes."""

import math
from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from perdure._core import Action, make, register
from perdure.distribution import (
    AbstractDistribution,
    Bernoulli,
    Categorical,
    MultiCategorical,
    Normal,
    SquashedNormal,
    StateDependentNormal,
)
from perdure.space import AbstractSpace, Box, Discrete, MultiBinary, MultiDiscrete

from ._spaces import rescaled


def check_gsde(gsde_interval: int | None) -> None:
    """Raises: ValueError if it is no number of steps."""
    if gsde_interval is not None and gsde_interval < 1:
        raise ValueError(
            f"gsde_interval={gsde_interval}, but it is a number of steps. Use 1 or more, or None for no gSDE."
        )


def initial_spread(size: int, log_std: float, noise_features: int | None) -> Float[Array, "*features size"]:
    """Logarithms of standard deviations: one an action, or for gSDE one for each feature and action."""
    if noise_features is None:
        return jnp.full(size, log_std)
    return jnp.full((noise_features, size), log_std - 0.5 * math.log(noise_features))


@register
@final
class ActionHead(eqx.Module):
    """The distribution for an action space, one kind each:

    | space | distribution | raw action | executed |
    |---|---|---|---|
    | Discrete | categorical | index, int32 | index + start |
    | MultiDiscrete | one categorical a component | indices, int32 | indices + start |
    | MultiBinary | Bernoulli | bits, int8 | bits, in the space's shape |
    | Box | normal, one learned standard deviation an entry | vector | clipped to the bounds |
    | Box, `squash=True` | tanh of a normal | vector before tanh | tanh, rescaled from [-1, 1] to the bounds |

    With `noise_features` the normal is a `StateDependentNormal` (gSDE) over that many features of the state, whose
    standard deviation begins at exp(initial_log_std) where the features are of unit size.

    Raises: TypeError for another space or a Box of integers, ValueError for `squash` without finite bounds, and for
    `noise_features` with actions that are no Box.
    """

    action_space: AbstractSpace = eqx.field(static=True)
    squash: bool = eqx.field(static=True)
    log_std: Float[Array, " size"] | Float[Array, "features size"] | None  # natural logarithm; only for a Box

    def __init__(
        self,
        action_space: AbstractSpace,
        *,
        squash: bool = False,
        initial_log_std: float = 0.0,
        noise_features: int | None = None,
    ):
        self.action_space, self.squash, self.log_std = action_space, squash, None
        if isinstance(action_space, Box):
            self.log_std = initial_spread(action_space.flat_size, initial_log_std, noise_features)
        elif noise_features is not None:
            raise ValueError(f"gSDE adds noise to a Box of actions, but action_space is {action_space}. Leave it out.")

    @classmethod
    def of(
        cls,
        action_space: AbstractSpace,
        log_std: Float[Array, " size"] | Float[Array, "features size"] | None = None,
        *,
        squash: bool = False,
    ) -> "ActionHead":
        """One with this spread, which a Box needs."""
        return make(cls, {"action_space": action_space, "squash": squash, "log_std": log_std})

    def __check_init__(self) -> None:
        space = self.action_space
        if not isinstance(space, Discrete | MultiDiscrete | MultiBinary | Box):
            raise TypeError(
                f"action_space is {type(space).__name__}, but actions must be Box, Discrete, MultiDiscrete or "
                "MultiBinary. Flatten composite actions in a wrapper."
            )
        if isinstance(space, Box) and space.dtype.kind != "f":
            raise TypeError(f"action_space is {space}, but a Box of actions must be floating-point. Use MultiDiscrete.")
        if self.squash and not (isinstance(space, Box) and space.is_bounded):
            raise ValueError(f"squash=True rescales to the bounds, but action_space is {space}. Use squash=False.")
        if (self.log_std is None) == isinstance(space, Box):
            raise ValueError(
                f"log_std is {'missing' if self.log_std is None else 'there'}, but action_space is {space}. Give it for a "
                "Box, and for nothing else."
            )

    @property
    def num_outputs(self) -> int:
        """How many numbers the network gives for one action."""
        return self.action_space.flat_size

    def distribution(
        self,
        outputs: Float[Array, " outputs"],
        mask: Bool[Array, " choices"] | None,
        features: Float[Array, " features"] | None = None,
    ) -> AbstractDistribution:
        """The distribution over raw actions; `mask` as in `AbstractSpace.mask_size`, `features` of the state for gSDE."""
        match self.action_space:
            case Discrete():
                return Categorical(outputs, mask)
            case MultiDiscrete(nvec=nvec):
                return MultiCategorical(outputs, nvec, mask)
            case MultiBinary():
                return Bernoulli(outputs, mask)
        if mask is not None:
            raise ValueError(
                f"action_mask given, but action_space is {self.action_space}, which has no choices to bar."
            )
        assert self.log_std is not None
        if self.log_std.ndim == 2:
            assert features is not None
            return StateDependentNormal(outputs, features, self.log_std, self.squash)
        return (SquashedNormal if self.squash else Normal)(outputs, self.log_std)

    def environment_action(self, raw_action: Action) -> Array:
        """The action in the environment's own units, shape and dtype."""
        space = self.action_space
        match space:
            case Discrete():
                return raw_action + space.start if space.start else raw_action
            case MultiDiscrete():
                return raw_action + jnp.asarray(space.start, jnp.int32) if any(space.start) else raw_action
            case MultiBinary():
                return raw_action.reshape(space.shape)
        assert isinstance(space, Box)
        if self.squash:
            return rescaled(space, jnp.tanh(raw_action))
        return jnp.clip(raw_action.reshape(space.shape), space.low, space.high)
