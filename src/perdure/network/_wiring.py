"""Who is connected to whom in a neural circuit policy: sparse masks, drawn from a key."""

from functools import partial
from typing import NamedTuple, final

import jax
import jax.numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Key

from perdure._core import register


@register
@final
class LayerSizes(NamedTuple):
    """How many neurons each layer of a circuit has. Sensory neurons are the inputs."""

    sensory: int
    inter: int
    command: int
    motor: int


def layer_sizes(num_sensory: int, num_neurons: int, num_motor: int) -> LayerSizes:
    """Of `num_neurons`, two in five are command neurons and the others inter neurons.

    Raises: ValueError if a layer would be empty.
    """
    if num_neurons < 2 or num_motor < 1 or num_sensory < 1:
        raise ValueError(
            f"A circuit of {num_sensory} inputs, {num_neurons} neurons and {num_motor} motor neurons is too small. "
            "Give it at least one input, two neurons (inter and command) and one motor neuron."
        )
    command = max(int(0.4 * num_neurons), 1)
    return LayerSizes(num_sensory, num_neurons - command, command, num_motor)


class Masks(NamedTuple):
    """True where a neuron (row) listens to one of the layer before (column)."""

    inter: Bool[Array, "inter sensory"]
    command: Bool[Array, "command inter"]
    motor: Bool[Array, "motor command"]


def fan_out(num_targets: int, num_sources: int, fan: int, key: Key[Array, ""]) -> Bool[Array, "targets sources"]:
    """Each source reaches `fan` different targets, drawn uniformly; a target that none reaches is given one source."""
    key_targets, key_lonely = jr.split(key)
    order = jnp.argsort(jr.uniform(key_targets, (num_targets, num_sources)), axis=0)
    mask = jnp.argsort(order, axis=0) < fan  # the ranks of random numbers: a permutation in each column
    source = jr.randint(key_lonely, (num_targets, 1), 0, num_sources)
    return mask | (~mask.any(1, keepdims=True) & (jnp.arange(num_sources) == source))


@partial(jax.jit, static_argnames=("sizes", "sparsity"))
def wire(sizes: LayerSizes, sparsity: float, *, key: Key[Array, ""]) -> Masks:
    """The masks of a circuit: sensory -> inter -> command -> motor, each layer hearing only the one before.

    With density d = 1 - sparsity: a sensory neuron reaches d of the inter neurons, an inter neuron d of the command
    neurons, a motor neuron hears d of the command neurons (each at least one). Then every neuron that is left without
    a way in, or a command neuron without a way out, is given one.

    Source: Lechner et al. 2020, doi:10.1038/s42256-020-00237-3, "neural circuit policies", steps 1 to 4. The paper's
    step on synapses among command neurons is left to the cells, in which a layer is fully connected with itself.
    """

    def share(count: int) -> int:
        return max(int(count * (1 - sparsity)), 1)

    key_inter, key_command, key_motor = jr.split(key, 3)
    inter = fan_out(sizes.inter, sizes.sensory, share(sizes.inter), key_inter)
    command = fan_out(sizes.command, sizes.inter, share(sizes.command), key_command)
    motor = fan_out(sizes.command, sizes.motor, share(sizes.command), key_motor).T
    return Masks(inter, command, motor)
