"""Spaces to Gymnasium's and back: equal, and each contains what the other draws."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure.space import (
    AbstractSpace,
    Box,
    Dict,
    Discrete,
    MultiBinary,
    MultiDiscrete,
    Tuple,
    from_gymnasium,
    to_gymnasium,
)
from perdure.space._composite import check_member

gymnasium = pytest.importorskip("gymnasium", reason="converts the real Gymnasium's spaces (extra gym)")
spaces = gymnasium.spaces

OURS = [
    Box(-1, 1, (3,)),
    Box([-np.inf, 0], [np.inf, np.inf]),
    Box(0, 255, (4, 4, 3), np.uint8),
    Box(-5, 7, (2,), np.int32),
    Discrete(4),
    Discrete(3, start=-1),
    MultiDiscrete((3, 2), (5, -1)),
    MultiBinary((2, 3)),
    Dict(b=Discrete(2), a=Box(-1, 1, (2,))),
    Tuple((Discrete(2), Dict(x=MultiBinary((2,))))),
]
THEIRS = [
    spaces.Box(-1.0, 1.0, (2,), np.float64),
    spaces.Box(np.array([0.1, -0.3]), np.array([0.7, np.inf]), dtype=np.float64),
    spaces.Box(-np.inf, np.inf, (2, 2), np.float32),
    spaces.Box(0, 255, (2, 2, 1), np.uint8),
    spaces.Box(-9, 9, (2,), np.int64),
    spaces.Discrete(5, start=2),
    spaces.MultiDiscrete([3, 2, 4]),
    spaces.MultiBinary(4),
    spaces.MultiBinary([2, 2]),
    spaces.Dict(z=spaces.Discrete(2), a=spaces.Dict(b=spaces.Box(0, 1, (1,)))),
    spaces.Tuple([spaces.Discrete(3), spaces.MultiDiscrete([2, 2])]),
]


def as_host(space: AbstractSpace, value):
    """Numbers as Gymnasium wants them: NumPy arrays, choices in 64 bits."""
    match space:
        case Dict():
            return {name: as_host(member, value[name]) for name, member in space.items}
        case Tuple():
            return tuple(as_host(member, v) for member, v in zip(space.spaces, value, strict=True))
        case Discrete() | MultiDiscrete():
            return np.asarray(value, np.int64)[()]
    return np.asarray(value)


@pytest.mark.parametrize("space", OURS, ids=repr)
def test_there_and_back_is_the_same_space(space: AbstractSpace) -> None:
    assert from_gymnasium(to_gymnasium(space)) == space


@pytest.mark.parametrize("space", OURS, ids=repr)
def test_gymnasium_contains_what_we_draw(space: AbstractSpace) -> None:
    theirs = to_gymnasium(space)
    for i in range(10):
        assert theirs.contains(as_host(space, space.sample(key=jr.key(i))))


@pytest.mark.parametrize("theirs", THEIRS, ids=repr)
def test_we_contain_what_gymnasium_draws(theirs) -> None:
    theirs.seed(0)
    ours = from_gymnasium(theirs)
    for _ in range(50):
        assert ours.contains(theirs.sample())


def test_our_masks_are_gymnasiums_for_discrete_spaces() -> None:
    mask = np.array([0, 1, 0, 0], np.int8)
    theirs, ours = spaces.Discrete(4, start=3), Discrete(4, start=3)
    assert theirs.sample(mask=mask) == 4
    assert int(ours.sample(key=jr.key(0), mask=jnp.asarray(mask, bool))) == 4


def test_a_space_without_a_counterpart_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Gymnasium space Text has no counterpart.*Supported: Box, Discrete"):
        from_gymnasium(spaces.Text(5))
    with pytest.raises(TypeError, match=r"Gymnasium space Graph has no counterpart"):
        from_gymnasium(spaces.Dict(g=spaces.Graph(spaces.Discrete(2), None)))


def test_a_table_of_choices_is_refused() -> None:
    with pytest.raises(ValueError, match=r"MultiDiscrete.nvec has shape \(2, 2\), but only vectors"):
        from_gymnasium(spaces.MultiDiscrete([[2, 2], [2, 2]]))


def test_a_gymnasium_space_among_ours_is_refused_with_the_mend() -> None:
    with pytest.raises(TypeError, match=r"Dict\['a'\] is Discrete, not a Perdure space.*from_gymnasium"):
        check_member("Dict['a']", spaces.Discrete(2))
