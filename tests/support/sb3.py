"""Answers of imported policies and of the models they came from, for tests of `perdure.importer`."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jax import random as jr

from perdure.policy import AbstractDeterministicPolicy, AbstractQPolicy, is_stateful
from perdure.space import Box


class Answer(NamedTuple):
    action: Any
    head: Any  # what the action is made from: logits, action values, or a vector before the bounds
    value: Any  # of the critic, or zero


def answer(policy, state, observation, action_mask=None):
    """The next state, and the answer to one observation."""
    state_after, action = policy(state, observation, action_mask=action_mask)
    if isinstance(policy, AbstractQPolicy):
        return state_after, Answer(action, policy.q_values(state, observation)[1], 0.0)
    if isinstance(policy, AbstractDeterministicPolicy):
        return state_after, Answer(action, policy.normalized_action(state, observation)[1], 0.0)
    _, distribution, *value = policy.evaluate(state, observation, None)
    head = distribution.logits if hasattr(distribution, "logits") else distribution.mode()
    return state_after, Answer(action, head, value[0] if value else 0.0)


def answers(policy, observations, action_masks=None) -> Answer:
    """To a batch of observations, each at the start of an episode."""
    state = policy.reset(key=jr.key(0))

    def one(observation, mask):
        return answer(policy, state, observation, mask)[1]

    return jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(observations, action_masks))


def answers_in_sequence(policy, observations, episode_start) -> list[Answer]:
    """To a sequence of batches; the memory is that of a fresh episode where one starts."""
    assert is_stateful(policy)
    count = len(episode_start[0])
    fresh = jax.tree.map(lambda x: np.broadcast_to(x, (count, *x.shape)), policy.reset(key=jr.key(0)))
    step = jax.jit(jax.vmap(lambda state, observation: answer(policy, state, observation)))
    state, given = fresh, []
    for observation, start in zip(observations, episode_start, strict=True):
        state = jax.tree.map(lambda a, b, s=start: np.where(s.reshape(-1, *[1] * (a.ndim - 1)), b, a), state, fresh)
        state, one = step(state, observation)
        given.append(jax.tree.map(np.asarray, one))
    return given


def action_error(policy, action, expected) -> float:
    """Of a Box in units of half its range where that is finite; of choices the number that differ."""
    space = policy.action_space
    action, expected = np.asarray(action, np.float64), np.asarray(expected, np.float64)
    assert action.shape == expected.shape
    if not isinstance(space, Box):
        return float((action != expected).sum())
    half = np.where(np.isfinite(space.high - space.low), (space.high - space.low) / 2, 1.0)
    return float((np.abs(action - expected) / np.maximum(half, 1e-6)).max())


def head_error(head, expected) -> float:
    """Relative to the largest number, or to one."""
    head, expected = np.asarray(head, np.float64), np.asarray(expected, np.float64)
    assert head.shape == expected.shape
    return float(np.abs(head - expected).max() / max(1.0, np.abs(expected).max()))
