"""Actors of soft actor-critic: a body and a distribution whose spread depends on the observation."""

from typing import Any, ClassVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Key

from perdure._core import register
from perdure.distribution import AbstractDistribution, Categorical, SquashedNormal
from perdure.network import MLP, Activation, Initialization
from perdure.space import AbstractSpace, Box, Discrete

from ._abstract_stochastic import AbstractSACPolicy
from ._base import AbstractStatelessPolicy
from ._body import Architecture, Body
from ._observation import Normalizer
from ._spaces import HasSpaces, check_bounded, rescaled, spaces_of

LOG_STD = (-20.0, 2.0)  # bounds of the natural logarithm of the standard deviation


class AbstractNetworkSACPolicy(AbstractSACPolicy):
    """What every soft actor here shares: all but how it is built.

    For a Box the network gives the means, then the logarithms of the standard deviations, which are clipped to
    [-20, 2]; for Discrete it gives logits.

    Source: Haarnoja et al. 2018, arXiv:1812.05905, appendix C, and the authors' code for the bounds; for discrete
    actions Christodoulou 2019, arXiv:1910.07207.
    """

    observation_space: AbstractSpace = eqx.field(static=True)
    action_space: Box | Discrete = eqx.field(static=True)
    body: Body
    network: MLP

    def _build(
        self,
        env: HasSpaces,
        architecture: Architecture,
        *,
        hidden_sizes: tuple[int, ...],
        activation: Activation,
        key: Key[Array, ""],
    ) -> None:
        key_body, key_network = jr.split(key)
        self.observation_space, action_space = spaces_of(env)
        if isinstance(action_space, Discrete):
            self.action_space, outputs = action_space, action_space.n
        else:
            self.action_space = check_bounded(action_space, type(self).__name__)
            outputs = 2 * action_space.flat_size
        self.body = Body(self.observation_space, architecture, key=key_body)
        self.network = MLP(
            self.body.size,
            outputs,
            tuple(hidden_sizes),
            activation,
            initialization=architecture.initialization,
            final_gain=0.01,
            key=key_network,
        )

    @property
    def normalizer(self) -> Normalizer | None:
        return self.body.normalizer

    def evaluate(
        self, state: Any, observation: Any, action_mask: Bool[Array, " choices"] | None = None
    ) -> tuple[Any, AbstractDistribution]:
        state, x = self.body(state, observation)
        outputs = self.network(x)
        if isinstance(self.action_space, Discrete):
            return state, Categorical(outputs, action_mask)
        if action_mask is not None:
            raise ValueError(
                f"action_mask given, but action_space is {self.action_space}, which has no choices to bar."
            )
        mean, log_std = jnp.split(outputs, 2)
        return state, SquashedNormal(mean, jnp.clip(log_std, *LOG_STD))

    def environment_action(self, raw_action: Any) -> Array:
        if isinstance(self.action_space, Discrete):
            return raw_action + self.action_space.start if self.action_space.start else raw_action
        return rescaled(self.action_space, jnp.tanh(raw_action))


@register
@final
class MLPSACPolicy(AbstractNetworkSACPolicy, AbstractStatelessPolicy):
    """A soft actor on the flattened observation; actions Discrete, or a Box with finite bounds.

    Raises: TypeError for another action space, ValueError if a side of the Box has no bound.
    """

    name: ClassVar[str] = "MLPSACPolicy"

    def __init__(
        self,
        env: HasSpaces,
        *,
        hidden_sizes: tuple[int, ...] = (256, 256),
        activation: Activation = jax.nn.relu,
        normalize_observation: bool = False,
        initialization: Initialization = "uniform",
        key: Key[Array, ""],
    ):
        architecture = Architecture(normalize_observation=normalize_observation, initialization=initialization)
        self._build(env, architecture, hidden_sizes=hidden_sizes, activation=activation, key=key)
