"""What an off-policy update sees: steps out of the replay buffer, alone or, for a memory, in order."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from perdure._core import select

from ._rollout import Mask, Transition


class ReplayBatch(eqx.Module):
    """Steps with one leading axis: `length` consecutive ones of a sequence after the other, 1 for single steps.

    `now` and `after` are how networks are applied to it, and the only place that knows of memories: a sequence is
    replayed from the state that was stored with its first step; its first `burn_in` steps only bring the memory up to
    date (Kapturowski et al. 2019, R2D2, section 3: "stored state" and "burn-in"). They have weight 0.
    """

    observation: PyTree
    action: PyTree  # raw
    reward: Float[Array, " batch"]  # discounted sum over n steps, or fewer where the episode ends
    next_observation: PyTree  # the true successor after those steps
    terminated: Bool[Array, " batch"]
    discount: Float[Array, " batch"]  # of what `next_observation` is worth
    action_mask: Mask
    next_action_mask: Mask
    weight: Float[Array, " batch"]  # in the loss
    policy_state: PyTree  # that went in with `observation`
    begins: Bool[Array, " batch"]  # nothing of the step before may be remembered
    length: int = eqx.field(static=True)
    burn_in: int = eqx.field(static=True)

    def now(
        self, network: Callable[..., tuple[PyTree, PyTree]], inputs: PyTree = None, *, fresh: PyTree = None
    ) -> PyTree:
        """`network(state, observation, input)[1]` of each step, at its observation.

        `fresh` is the memory that an episode begins with, for a network that did not act; None: states as stored.
        """
        return self._replay(lambda state, x, i: network(state, x.observation, i), inputs, fresh)

    def after(
        self, network: Callable[..., tuple[PyTree, PyTree]], inputs: PyTree = None, *, fresh: PyTree = None
    ) -> PyTree:
        """As `now`, at the next observation, with the memory that went on. No memory depends on `inputs`."""

        def next_step(state: PyTree, x: "ReplayBatch", i: PyTree) -> tuple[PyTree, PyTree]:
            state, _ = network(state, x.observation, i)
            return state, network(state, x.next_observation, i)[1]

        return self._replay(next_step, inputs, fresh)

    def _replay(
        self, step: Callable[[PyTree, "ReplayBatch", PyTree], tuple[PyTree, PyTree]], inputs: PyTree, fresh: PyTree
    ) -> PyTree:
        def stored(x: ReplayBatch) -> PyTree:
            return x.policy_state if fresh is None else fresh

        if self.length == 1:
            return jax.vmap(lambda x, i: step(stored(x), x, i)[1])(self, inputs)

        def carried(state: PyTree, at: tuple[ReplayBatch, PyTree, Array]) -> tuple[PyTree, PyTree]:
            x, i, warm = at
            state = select(x.begins, stored(x), state)
            return step(select(warm, jax.lax.stop_gradient(state), state), x, i)

        def sequence(x: ReplayBatch, i: PyTree) -> PyTree:
            warm = jnp.arange(self.length) <= self.burn_in
            return jax.lax.scan(carried, stored(jax.tree.map(lambda s: s[0], x)), (x, i, warm))[1]

        folded = jax.tree.map(lambda x: x.reshape(-1, self.length, *x.shape[1:]), (self, inputs))
        outputs = jax.vmap(sequence)(*folded)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), outputs)

    def mean(self, loss: Float[Array, " batch"]) -> Float[Array, ""]:
        """The weighted mean over what is to be learned from."""
        return (self.weight * loss).mean()


def n_step(window: Transition, *, discount: float) -> tuple[Transition, Float[Array, ""]]:
    """`n` consecutive steps of one environment as one long step, and the discount of what comes after it.

    r + discount * r' + ... up to the n-th step, or to the first that ends the episode. The successor, its mask and
    `terminated` are those of the last step that counts, so a time limit on the way keeps the bootstrap.

    Source: Sutton & Barto 2018, eq. 7.1; Hessel et al. 2018, arXiv:1710.02298, "multi-step learning".
    """
    steps = window.reward.shape[0]
    going_on = ~(window.terminated | window.truncated)
    counts = jnp.cumprod(jnp.concatenate([jnp.ones(1, bool), going_on[:-1]]))  # 1 up to the end of the episode, then 0
    last = counts.sum() - 1
    first_step = jax.tree.map(lambda x: x[0], window)
    next_observation, terminated, next_action_mask = jax.tree.map(
        lambda x: x[last], (window.next_observation, window.terminated, window.next_action_mask)
    )
    return first_step._replace(
        reward=(discount ** jnp.arange(steps) * counts * window.reward).sum(),
        next_observation=next_observation,
        terminated=terminated,
        next_action_mask=next_action_mask,
    ), jnp.asarray(discount, float) ** counts.sum()


def batch_of_steps(windows: Transition, weight: Float[Array, " size"], *, discount: float) -> ReplayBatch:
    """A batch of single (n-step) steps; leading axes of `windows` are `(size, n)`."""
    t, discounts = jax.vmap(lambda w: n_step(w, discount=discount))(windows)
    begins = jnp.ones(weight.shape, bool)
    return _batch(t, discounts, weight, begins, length=1, burn_in=0)


def batch_of_sequences(windows: Transition, *, burn_in: int, discount: float) -> ReplayBatch:
    """A batch of sequences; leading axes of `windows` are `(size, length)`."""
    size, length = windows.reward.shape
    begins = jnp.roll(windows.terminated | windows.truncated, 1, axis=1).at[:, 0].set(True)
    weight = jnp.where(jnp.arange(length) < burn_in, 0.0, length / (length - burn_in))
    flat, begins = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (windows, begins))
    discounts = jnp.full(size * length, discount, float)
    return _batch(flat, discounts, jnp.tile(weight, size), begins, length=length, burn_in=burn_in)


def _batch(t: Transition, discount: Array, weight: Array, begins: Array, *, length: int, burn_in: int) -> ReplayBatch:
    return ReplayBatch(
        observation=t.observation,
        action=t.action,
        reward=t.reward,
        next_observation=t.next_observation,
        terminated=t.terminated,
        discount=discount,
        action_mask=t.action_mask,
        next_action_mask=t.next_action_mask,
        weight=weight,
        policy_state=t.policy_state,
        begins=begins,
        length=length,
        burn_in=burn_in,
    )
