"""Liquid networks: closed-form continuous-time (CfC) cells in the wiring of a neural circuit policy (NCP)."""

from functools import partial
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import random as jr
from jaxtyping import Array, Bool, Float, Key

from perdure._core import AbstractConstant, make, register

from ._cell import AbstractCell
from ._wiring import LayerSizes, check_sparsity, layer_sizes, wire


@register
@final
class Mask(AbstractConstant):
    """Which weights exist. Data, not parameters: no optimiser sees it; it is saved and exported with its layer."""

    present: Bool[Array, "out_size in_size"]


@register
@final
class MaskedLinear(eqx.Module):
    """y = (M * W) x + b, where M is 0 or 1.

    Weights and biases begin uniformly within 1 / sqrt(number of inputs that the unit has), weights that do not exist
    at zero, where they stay.
    """

    weight: Float[Array, "out_size in_size"]
    bias: Float[Array, " out_size"]
    mask: Mask

    def __init__(self, present: Bool[Array, "out_size in_size"], *, key: Key[Array, ""]):
        bound = jax.lax.rsqrt(jnp.maximum(present.sum(1), 1).astype(jnp.float32))
        draw = jr.uniform(key, (present.shape[0], 1 + present.shape[1]), minval=-1.0, maxval=1.0) * bound[:, None]
        self.weight, self.bias = jnp.where(present, draw[:, 1:], 0.0), draw[:, 0]
        self.mask = Mask(present)

    @classmethod
    def of(
        cls,
        weight: Float[Array, "out_size in_size"],
        bias: Float[Array, " out_size"],
        present: Bool[Array, "out_size in_size"],
    ) -> "MaskedLinear":
        """One made of these arrays; `present` is what of the weights exists."""
        return make(cls, {"weight": weight, "bias": bias, "mask": Mask(present)})

    def __call__(self, x: Float[Array, " in_size"]) -> Float[Array, " out_size"]:
        return x @ jnp.where(self.mask.present, self.weight, 0.0).T + self.bias


@register
@final
class CfC(AbstractCell):
    """A layer of neurons whose state follows a differential equation that is solved in closed form.

        x' = sigma(-f t) * tanh(g) + (1 - sigma(-f t)) * tanh(h)
        y  = p + x'

    where g, h, f and p are linear in the input and the state x. The time t between two steps is 1, so it is part of f.
    Without p it is eq. 10 of the paper with one layer for each of g, h and f; p lets an output pass the range of tanh,
    as in Velora, whose layers these are. `layer` gives g, h, f, p one after the other; its columns are the inputs, then
    the states. A mask says which inputs a neuron hears; the neurons of a layer all hear each other, as in the wired CfC
    of the authors' `ncps` package.

    Source: Hasani et al. 2022, doi:10.1038/s42256-022-00556-7, arXiv:2106.13898.
    """

    layer: MaskedLinear
    size: int = eqx.field(static=True)

    def __init__(self, hears: Bool[Array, "size in_size"], *, key: Key[Array, ""]):
        self.size = hears.shape[0]
        present = jnp.concatenate([hears, jnp.ones((self.size, self.size), bool)], axis=1)
        self.layer = MaskedLinear(jnp.tile(present, (4, 1)), key=key)

    @classmethod
    def of(cls, layer: MaskedLinear) -> "CfC":
        """One made of this layer, a quarter of whose rows are the neurons."""
        return make(cls, {"layer": layer, "size": layer.bias.shape[-1] // 4})

    @property
    def out_size(self) -> int:
        return self.size

    def initial_state(self) -> Float[Array, " size"]:
        return jnp.zeros(self.size)

    def step(
        self, state: Float[Array, " size"], x: Float[Array, " in_size"]
    ) -> tuple[Float[Array, " size"], Float[Array, " size"]]:
        g, h, f, p = jnp.split(self.layer(jnp.concatenate([x, state])), 4)
        share = jax.nn.sigmoid(-f)
        state = share * jnp.tanh(g) + (1 - share) * jnp.tanh(h)
        return state, p + state


@partial(jax.jit, static_argnames=("sizes", "sparsity"))
def circuit(sizes: LayerSizes, sparsity: float, *, key: Key[Array, ""]) -> tuple[CfC, CfC, CfC]:
    """The inter, command and motor layers. In one compiled function, as each draw would cost a compilation of its own."""
    key_wiring, key_inter, key_command, key_motor = jr.split(key, 4)
    masks = wire(sizes, sparsity, key=key_wiring)
    return CfC(masks.inter, key=key_inter), CfC(masks.command, key=key_command), CfC(masks.motor, key=key_motor)


@register
@final
class Liquid(AbstractCell):
    """A neural circuit policy of CfC layers: inputs -> inter -> command -> motor neurons, sparsely wired by the key.

    `num_neurons` counts inter and command neurons, of which two in five are command neurons; the output has one number
    for each motor neuron, unbounded. The state is one vector, inter neurons first, then command, then motor neurons.
    `sparsity` is the share of connections between layers that do not exist.

    Source: Lechner et al. 2020, doi:10.1038/s42256-020-00237-3; with CfC cells as in Velora's LiquidNCPNetwork.

    Raises: ValueError if a layer would be empty or `sparsity` is not in [0, 1).
    """

    inter: CfC
    command: CfC
    motor: CfC
    sizes: LayerSizes = eqx.field(static=True)

    def __init__(self, in_size: int, num_neurons: int, num_motor: int, *, sparsity: float = 0.5, key: Key[Array, ""]):
        check_sparsity(sparsity)
        self.sizes = layer_sizes(in_size, num_neurons, num_motor)
        self.inter, self.command, self.motor = circuit(self.sizes, sparsity, key=key)

    @classmethod
    def of(cls, inter: CfC, command: CfC, motor: CfC) -> "Liquid":
        """One made of these layers."""
        sensory = inter.layer.weight.shape[-1] - inter.size
        sizes = LayerSizes(sensory, inter.size, command.size, motor.size)
        return make(cls, {"inter": inter, "command": command, "motor": motor, "sizes": sizes})

    @property
    def out_size(self) -> int:
        return self.sizes.motor

    @property
    def layers(self) -> tuple[CfC, CfC, CfC]:
        return self.inter, self.command, self.motor

    def initial_state(self) -> Float[Array, " neurons"]:
        return jnp.zeros(sum(self.sizes[1:]))

    def step(
        self, state: Float[Array, " neurons"], x: Float[Array, " in_size"]
    ) -> tuple[Float[Array, " neurons"], Float[Array, " motor"]]:
        states = []
        for cell, part in zip(self.layers, jnp.split(state, np.cumsum(self.sizes[1:3])), strict=True):
            part, x = cell.step(part, x)
            states.append(part)
        return jnp.concatenate(states), x


@register
@final
class LiquidCommand(AbstractCell):
    """Inter neurons and liquid command neurons, each followed by Mish; the layer behind them is that of the motor neurons.

    Other than in `Liquid`, the command neurons alone have a state.

    Source: `LiquidNCPNetwork` of Velora 0.1 and 0.2; Mish: Misra 2019, arXiv:1908.08681.
    """

    inter: MaskedLinear
    command: CfC

    @property
    def out_size(self) -> int:
        return self.command.out_size

    def initial_state(self) -> Float[Array, " command"]:
        return self.command.initial_state()

    def step(
        self, state: Float[Array, " command"], x: Float[Array, " in_size"]
    ) -> tuple[Float[Array, " command"], Float[Array, " command"]]:
        state, x = self.command.step(state, jax.nn.mish(self.inter(x)))
        return state, jax.nn.mish(x)
