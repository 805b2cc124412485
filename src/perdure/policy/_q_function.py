"""Critics of off-policy algorithms. They are trained beside a policy and are no part of it."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Key

from perdure._core import Observation, register
from perdure.network import MLP, Activation
from perdure.space import AbstractSpace, Box, Discrete

from ._architecture import Architecture
from ._base import AbstractPolicy, AbstractPolicyState
from ._body import AbstractBody, Body
from ._observation import FixedNormalizer, Normalizer

USUAL = Architecture(initialization="uniform")


@register
@final
class QFunction(eqx.Module):
    """The value of an action: of one that is given, for a Box; of each, for Discrete.

    For a Box: `(policy_state, observation, normalized_action) -> (policy_state, values)`, with `num_outputs` values (one, or the
    quantiles of TQC). For Discrete: `(policy_state, observation) -> (policy_state, values)` with one value an action.

    `like` is a policy, whose architecture, hidden layers and observation statistics are taken over (weights are new),
    or an `Architecture`.

    Raises: TypeError for an action space that is neither Box nor Discrete, ValueError if num_outputs does not fit.
    """

    observation_space: AbstractSpace = eqx.field(static=True)
    action_space: AbstractSpace = eqx.field(static=True)
    body: AbstractBody
    network: MLP

    def __init__(
        self,
        observation_space: AbstractSpace,
        action_space: AbstractSpace,
        *,
        like: AbstractPolicy | Architecture | None = None,
        hidden_sizes: tuple[int, ...] | None = None,
        activation: Activation | None = None,
        num_outputs: int = 1,
        key: Key[Array, ""],
    ):
        if not isinstance(action_space, Box | Discrete):
            raise TypeError(f"action_space is {action_space}, but a Q function takes a Box or Discrete actions.")
        if isinstance(action_space, Discrete) and num_outputs != 1:
            raise ValueError(
                f"num_outputs={num_outputs}, but for Discrete actions there is one value an action. Use 1."
            )
        key_body, key_network = jr.split(key)
        self.observation_space, self.action_space = observation_space, action_space
        body, network = getattr(like, "body", None), getattr(like, "network", None)
        architecture = like if isinstance(like, Architecture) else getattr(body, "architecture", USUAL)
        self.body = Body(observation_space, architecture, key=key_body) if body is None else body.fresh(key=key_body)
        if hidden_sizes is None:
            hidden_sizes = (256, 256) if network is None else network.hidden_sizes
        if activation is None:
            activation = jax.nn.relu if network is None else network.activation
        is_discrete = isinstance(action_space, Discrete)
        self.network = MLP(
            self.body.size + (0 if is_discrete else action_space.flat_size),
            action_space.n if isinstance(action_space, Discrete) else num_outputs,
            tuple(hidden_sizes),
            activation,
            initialization=architecture.initialization,
            key=key_network,
        )

    @property
    def normalizer(self) -> Normalizer | FixedNormalizer | None:
        return getattr(self.body, "normalizer", None)

    def reset(self) -> AbstractPolicyState | None:
        """The memory at the start of an episode; None without one."""
        return self.body.reset()

    def __call__(
        self,
        policy_state: AbstractPolicyState | None,
        observation: Observation,
        normalized_action: Float[Array, " size"] | None = None,
    ) -> tuple[AbstractPolicyState | None, Float[Array, " values"]]:
        if (normalized_action is None) != isinstance(self.action_space, Discrete):
            raise TypeError(
                f"action_space is {self.action_space}: "
                f"call with {'an observation only' if normalized_action is not None else 'a normalised action'}."
            )
        policy_state, x = self.body(policy_state, observation)
        return policy_state, self.network(x if normalized_action is None else jnp.concatenate([x, normalized_action]))
