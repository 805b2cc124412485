"""Who is connected to whom in a neural circuit policy: sparse masks, drawn from a key."""

from typing import NamedTuple, final

import jax.numpy as jnp
import numpy as np
from jax import random as jr
from jaxtyping import Array, Bool, Float, Key

from perdure._core import register


@register
@final
class LayerSizes(NamedTuple):
    """How many neurons each layer of a circuit has. Sensory neurons are the inputs."""

    sensory: int
    inter: int
    command: int
    motor: int


def check_sparsity(sparsity: float) -> None:
    """Raises: ValueError if it is no share of connections that may be missing."""
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity={sparsity}, but it is a share below one. The usual one is 0.5.")


def check_circuit(num_neurons: int, num_motor: int, sparsity: float) -> None:
    """Raises: ValueError if a layer would be empty, whatever the inputs are, or `sparsity` is not in [0, 1)."""
    check_sparsity(sparsity)
    layer_sizes(1, num_neurons, num_motor)


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


def fan_out(
    num_targets: int, num_sources: int, fan: int, draw: Float[Array, " numbers"]
) -> Bool[Array, "targets sources"]:
    """Each source reaches `fan` different targets, drawn uniformly; a target that none reaches is given one source.

    `draw` holds the random numbers for it, uniform in [0, 1): one for each pair and one for each target.
    """
    pairs, lonely = draw[num_targets:].reshape(num_targets, num_sources), draw[:num_targets, None]
    mask = pairs <= jnp.sort(pairs, axis=0)[fan - 1]  # in each column the smallest ones
    source = (lonely * num_sources).astype(jnp.int32)
    return mask | (~mask.any(1, keepdims=True) & (jnp.arange(num_sources) == source))


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

    pairs = ((sizes.inter, sizes.sensory), (sizes.command, sizes.inter), (sizes.command, sizes.motor))
    fans = share(sizes.inter), share(sizes.command), share(sizes.command)
    counts = [targets * (sources + 1) for targets, sources in pairs]
    draws = jnp.split(jr.uniform(key, (sum(counts),)), np.cumsum(counts)[:-1])  # at once: each draw is compiled anew
    inter, command, motor = (fan_out(*pair, fan, draw) for pair, fan, draw in zip(pairs, fans, draws, strict=True))
    return Masks(inter, command, motor.T)
