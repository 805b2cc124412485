"""Arithmetic that more than one algorithm needs: advantages, targets, averages of networks, gradient steps."""

from collections.abc import Callable
from typing import Annotated, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PyTree

from perdure._core import NameRule, leaf_order, ravel, split_trainable, unravel
from perdure.network import fold_biases

Module = TypeVar("Module")  # or a tuple of modules
Aux = TypeVar("Aux")


def gae(
    reward: Float[Array, " time"],
    value: Float[Array, " time"],
    next_value: Float[Array, " time"],
    terminated: Bool[Array, " time"],
    truncated: Bool[Array, " time"],
    *,
    discount: float,
    gae_lambda: float,
) -> Float[Array, " time"]:
    """Generalised advantage estimates of one environment's steps, in order of time.

    delta = r + discount * (1 - terminated) * v(s') - v(s);  A = delta + discount * lambda * A', cut where an episode ends.

    `next_value` is the value of the true successor, also at the last step of an episode: so a time limit cuts the trace
    but keeps the bootstrap, and only a terminal state is worth nothing.

    Source: Schulman et al. 2016, arXiv:1506.02438, eq. 11 and 16; time limits: Pardo et al. 2018, arXiv:1712.00378.
    """
    delta = reward + discount * jnp.where(terminated, 0.0, next_value) - value
    decay = jnp.where(terminated | truncated, 0.0, discount * gae_lambda)

    def step(advantage: Array, x: tuple[Array, Array]) -> tuple[Array, Array]:
        delta, decay = x
        advantage = delta + decay * advantage
        return advantage, advantage

    return jax.lax.scan(step, jnp.zeros(()), (delta, decay), reverse=True, unroll=16)[1]


def normalize(advantage: Float[Array, " batch"]) -> Float[Array, " batch"]:
    """With mean 0 and deviation 1 over the batch."""
    return (advantage - advantage.mean()) / (advantage.std() + 1e-8)


def policy_gradient_loss(log_prob: Float[Array, " batch"], advantage: Float[Array, " batch"]) -> Float[Array, ""]:
    """What has the policy gradient as its gradient: -E[A log pi(a | s)]. Its value means nothing.

    Source: Williams 1992, doi:10.1007/BF00992696, eq. 8; Sutton & Barto 2018, eq. 13.11.
    """
    return -(log_prob * advantage).mean()


def td_target(
    reward: Float[Array, "*batch"],
    next_value: Float[Array, "*batch"],
    terminated: Bool[Array, "*batch"],
    *,
    discount: float | Float[Array, "*batch"],
) -> Float[Array, "*batch"]:
    """One-step return used as a regression target.

    y = r + discount * (1 - terminated) * v(s'); a time limit is *not* an end, so `truncated` is no argument.
    No gradient flows through it.

    Source: Sutton & Barto 2018, eq. 6.2; time limits: Pardo et al. 2018, arXiv:1712.00378.
    """
    return jax.lax.stop_gradient(reward + discount * jnp.where(terminated, 0.0, next_value))


def best_action(
    q_values: Float[Array, "batch actions"], mask: Bool[Array, "batch actions"] | None
) -> Int[Array, " batch"]:
    """The index of the largest value among the legal actions."""
    return (q_values if mask is None else jnp.where(mask, q_values, -jnp.inf)).argmax(-1)


def value_of(values: Float[Array, "batch actions *more"], index: Int[Array, " batch"]) -> Float[Array, "batch *more"]:
    """What stands at one action of each row."""
    return jax.vmap(lambda row, i: row[i])(values, index)


def quantile_huber(quantiles: Float[Array, " n"], target: Float[Array, " m"]) -> Float[Array, " n"]:
    """For each of n quantile estimates, its loss against m samples of the return, averaged over the samples.

    |tau - 1(delta < 0)| * Huber(delta), with delta = target - quantile and tau = (2i - 1) / 2n. There are first derivatives
    alone, and none for the target.

    The gradient is written out: the loss and its slope are summed up sample by sample, in a twentieth of the time that the
    n x m differences of a whole batch take, with those that automatic differentiation keeps.

    Source: Dabney et al. 2018, arXiv:1710.10044, eq. 9 and 10 with kappa = 1.
    """
    n, at = quantiles.shape[0], jax.lax.stop_gradient(quantiles)
    tau = (2 * jnp.arange(n) + 1) / (2 * n)

    def add(sums: tuple[Array, Array], sample: Float[Array, ""]) -> tuple[tuple[Array, Array], None]:
        delta = sample - at
        weight, clipped = jnp.where(delta < 0, 1 - tau, tau), jnp.clip(delta, -1, 1)
        loss, slope = sums
        return (loss + weight * clipped * (delta - clipped / 2), slope - weight * clipped), None

    zeros = jnp.zeros_like(at)
    (loss, slope), _ = jax.lax.scan(add, (zeros, zeros), jax.lax.stop_gradient(target))
    return (loss + slope * (quantiles - at)) / target.shape[0]


def polyak(target: PyTree, online: PyTree, rate: float | Float[Array, ""]) -> PyTree:
    """`(1 - rate) * target + rate * online`, parameter by parameter: rate 1 copies and 0 keeps, to the bit.

    Source: Lillicrap et al. 2016, arXiv:1509.02971, algorithm 1.
    """
    return jax.tree.map(lambda t, o: (1 - rate) * t + rate * o, target, online)


def gradient_step(
    optimizer: optax.GradientTransformation, optimizer_state: PyTree, parameters: PyTree, gradient: PyTree
) -> tuple[PyTree, PyTree]:
    """`(parameters, optimizer_state)` after one step of the optimiser."""
    updates, optimizer_state = optimizer.update(gradient, optimizer_state, parameters)
    return optax.apply_updates(parameters, updates), optimizer_state


def descend(
    optimizer: optax.GradientTransformation,
    optimizer_state: PyTree,
    module: Module,
    loss: Callable[[Module], tuple[Float[Array, ""], Aux]],
) -> tuple[Module, PyTree, Aux]:
    """`(module, optimizer_state, more)` after one step of the optimiser down `loss(module) -> (loss, more)`."""
    parameters, rest = split_trainable(module)
    gradient, more = jax.grad(lambda p: loss(fold_biases(eqx.combine(p, rest))), has_aux=True)(parameters)
    parameters, optimizer_state = gradient_step(optimizer, optimizer_state, parameters, gradient)
    return eqx.combine(parameters, rest), optimizer_state, more


def at_runtime(number: int, iteration: Int[Array, ""]) -> Int[Array, ""]:
    """A number that the compiler does not know, so a loop of that length stays one and nothing is fused across its border."""
    return jnp.where(iteration < 0, 0, number)


def apart(function: Callable[[], Array], iteration: Int[Array, ""]) -> Array:
    """`function()`, computed once. XLA would fuse a target into the gradient, and compute it anew for each hidden unit."""
    shape = jax.eval_shape(function)
    once = at_runtime(1, iteration)
    return jax.lax.fori_loop(0, once, lambda _i, _x: function(), jnp.zeros(shape.shape, shape.dtype))


def parameters_of(module: PyTree) -> PyTree:
    """What is trained of a module: what a target network keeps, and what an optimiser starts from."""
    return split_trainable(module)[0]


def with_parameters(module: Module, parameters: PyTree) -> Module:
    """The module with other parameters, and its own constants, such as running statistics."""
    return eqx.combine(parameters, split_trainable(module)[1])


OPTIMIZERS = {name: getattr(optax, name) for name in ("adabelief", "adam", "adamw", "lion", "nadam", "rmsprop", "sgd")}
OptimizerName = Annotated[str, NameRule(tuple(OPTIMIZERS))]


def new_optimizer(
    name: str, learning_rate: float | optax.Schedule, max_gradient_norm: float | None, **settings: float
) -> optax.GradientTransformation:
    """One of `OPTIMIZERS`, on gradients clipped by their global norm if there is a limit to it."""
    optimizer = OPTIMIZERS[name](learning_rate, **settings)
    if max_gradient_norm is None:
        return optimizer
    return optax.chain(clip_by_global_norm(max_gradient_norm), optimizer)


def clip_by_global_norm(max_norm: float) -> optax.GradientTransformation:
    """`optax.clip_by_global_norm`, whose last bit does not depend on the order of a class's fields (see `leaf_order`)."""
    clip = optax.clip_by_global_norm(max_norm)

    def update(gradient: PyTree, state: PyTree, parameters: PyTree = None) -> tuple[PyTree, PyTree]:
        leaves, structure = jax.tree.flatten(gradient)
        order = leaf_order(gradient)
        clipped, state = clip.update([leaves[place] for place in order], state)
        places = dict(zip(order, clipped, strict=True))
        return jax.tree.unflatten(structure, [places[place] for place in range(len(leaves))]), state

    return optax.GradientTransformation(clip.init, update)


def flattened(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """An optimiser on one vector of all parameters, which is one kernel: `optax.flatten`, in the order of `ravel`."""

    def init(parameters: PyTree) -> PyTree:
        return optimizer.init(ravel(parameters))

    def update(gradient: PyTree, state: PyTree, parameters: PyTree = None) -> tuple[PyTree, PyTree]:
        updates, state = optimizer.update(ravel(gradient), state, None if parameters is None else ravel(parameters))
        return unravel(updates, gradient), state

    return optax.GradientTransformation(init, update)
