"""Critics of off-policy algorithms. They are trained beside a policy and are no part of it."""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Key

from perdure._core import register
from perdure.network import MLP, Activation
from perdure.space import AbstractSpace, Box, Discrete

from ._architecture import Architecture
from ._body import Body
from ._observation import FixedNormalizer, Normalizer


@register
@final
class QFunction(eqx.Module):
    """The value of an action: of one that is given, for a Box; of each, for Discrete.

    For a Box: `(state, observation, normalized_action) -> (state, values)`, with `num_outputs` values (one, or the
    quantiles of TQC). For Discrete: `(state, observation) -> (state, values)` with one value an action.

    `like` is a policy, whose architecture, hidden layers and observation statistics are taken over (weights are new),
    or an `Architecture`.

    Raises: TypeError for an action space that is neither Box nor Discrete, ValueError if num_outputs does not fit.
    """

    observation_space: AbstractSpace = eqx.field(static=True)
    action_space: AbstractSpace = eqx.field(static=True)
    body: Body
    network: MLP

    def __init__(
        self,
        observation_space: AbstractSpace,
        action_space: AbstractSpace,
        *,
        like: Any = None,
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
        if isinstance(like, Architecture):
            architecture = like
        else:
            architecture = Architecture(initialization="uniform") if body is None else body.architecture
        self.body = Body(observation_space, architecture, key=key_body)
        if body is not None and body.normalizer is not None:
            self.body = eqx.tree_at(lambda b: b.normalizer, self.body, body.normalizer)
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
        return self.body.normalizer

    def reset(self) -> Any:
        """The memory at the start of an episode; None without one."""
        return self.body.reset()

    def __call__(
        self, state: Any, observation: Any, normalized_action: Float[Array, " size"] | None = None
    ) -> tuple[Any, Float[Array, " values"]]:
        if (normalized_action is None) != isinstance(self.action_space, Discrete):
            raise TypeError(
                f"action_space is {self.action_space}: "
                f"call with {'an observation only' if normalized_action is not None else 'a normalised action'}."
            )
        state, x = self.body(state, observation)
        return state, self.network(x if normalized_action is None else jnp.concatenate([x, normalized_action]))
