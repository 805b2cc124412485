"""What a policy says now about the steps it took: one step at a time, or in order where it has a memory."""

import equinox as eqx
import jax
from jaxtyping import Array, Bool, Float, PyTree

from perdure._core import select
from perdure.policy import AbstractActorCriticPolicy, is_stateful

from ._rollout import Mask


class RolloutBatch(eqx.Module):
    """Steps of environments and what was thought of them then.

    A loss sees one leading axis. On the way to it there are two: `(time, num_envs)` as collected, `(items, time)` where an
    item of a minibatch is one environment's whole rollout.
    """

    observation: PyTree
    action: PyTree  # raw
    action_mask: Mask
    policy_state: PyTree  # that went in with `observation`
    begins: Bool[Array, "*batch"]  # nothing of the step before may be remembered
    log_prob: Float[Array, "*batch"]  # when it was sampled
    value: Float[Array, "*batch"]  # before learning
    advantage: Float[Array, "*batch"]
    target: Float[Array, "*batch"]  # of the value: advantage + value


class Evaluation(eqx.Module):
    """What the policy says of each step of a batch now; one leading axis where a loss sees it."""

    value: Float[Array, "*batch"]
    log_prob: Float[Array, "*batch"]  # of the action that was taken
    entropy: Float[Array, "*batch"]  # of its distribution


def flatten(tree: PyTree) -> PyTree:
    """The two leading axes of every array made one."""
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), tree)


def evaluate(policy: AbstractActorCriticPolicy, batch: RolloutBatch) -> tuple[Evaluation, RolloutBatch]:
    """The policy on a minibatch, and the minibatch, both with one leading axis.

    A memory is replayed from the stored state of the first step; where an episode begins it is the stored fresh one.
    Gradients flow through the whole sequence within an episode.
    """

    def step(state: PyTree, x: RolloutBatch) -> tuple[PyTree, Evaluation]:
        state, *answers = policy.evaluate_action(state, x.observation, x.action, action_mask=x.action_mask)
        return state, Evaluation(*answers)

    def carried_step(state: PyTree, x: RolloutBatch) -> tuple[PyTree, Evaluation]:
        return step(select(x.begins, x.policy_state, state), x)

    def sequence(x: RolloutBatch) -> Evaluation:
        first = jax.tree.map(lambda s: s[0], x.policy_state)
        return jax.lax.scan(carried_step, first, x)[1]

    if is_stateful(policy):
        return flatten(jax.vmap(sequence)(batch)), flatten(batch)
    return jax.vmap(lambda x: step(x.policy_state, x)[1])(batch), batch
