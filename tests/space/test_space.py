"""What spaces contain, draw and flatten to."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from jax import random as jr

from perdure.space import AbstractSpace, Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from perdure.space._casts import whole

SPACES = [
    Box(-1, 1, (3,)),
    Box([-np.inf, 0, -np.inf, -2], [np.inf, np.inf, 5, 2]),
    Box(-3e38, 3e38, (2,)),
    Box(0, 255, (4, 4, 3), np.uint8),
    Box(-5, 7, (2,), np.int32),
    Box(0, 2**31 - 1, (2,), np.int32),
    Box(-(2**31), 2**31 - 1, (2,), np.int32),
    Box(3_000_000_000, 4_000_000_000, (2,), np.uint32),
    Box(0, 2**32 - 1, (2,), np.uint32),
    Box(0.1, 0.1, ()),
    Discrete(4),
    Discrete(3, start=-1),
    MultiDiscrete((3, 1, 4)),
    MultiDiscrete((3, 2), (5, -1)),
    MultiBinary((4,)),
    MultiBinary((2, 3)),
    Dict(b=Discrete(2), a=Box(-1, 1, (2,))),
    Tuple((Discrete(2), Dict(x=MultiBinary((2,))))),
]
every_space = pytest.mark.parametrize("space", SPACES, ids=repr)
MASKABLE = [Discrete(4), Discrete(3, start=-1), MultiDiscrete((3, 1, 4), (5, 0, -1)), MultiBinary((2, 3))]


def draws(space: AbstractSpace, number: int, mask: Any = None) -> list[Any]:
    batch = jax.jit(jax.vmap(lambda key: space.sample(key=key, mask=mask)))(jr.split(jr.key(0), number))
    return [jax.tree.map(lambda x, i=i: np.asarray(x)[i], batch) for i in range(number)]


def avals(tree: Any) -> Any:
    return jax.tree.map(lambda x: (x.shape, x.dtype), tree)


@every_space
def test_samples_lie_in_the_space_with_the_shapes_of_the_canonical_value(space: AbstractSpace) -> None:
    assert space.contains(space.canonical())
    for value in draws(space, 50):
        assert space.contains(value)
        assert avals(value) == avals(space.canonical())


@every_space
def test_flatten_gives_one_float_vector_of_the_flat_size(space: AbstractSpace) -> None:
    for value in draws(space, 3):
        flat = space.flatten(value)
        assert flat.shape == (space.flat_size,)
        assert flat.dtype == jnp.float32


@every_space
def test_equal_spaces_hash_alike_and_others_differ(space: AbstractSpace) -> None:
    again = jax.tree.unflatten(*reversed(jax.tree.flatten(space)))
    assert again == space
    assert hash(again) == hash(space)
    assert [other for other in SPACES if other == space] == [space]
    assert space != repr(space)


def test_spaces_made_apart_are_equal() -> None:
    assert Box(-1, 1, (2,)) == Box([-1, -1], [1.0, 1.0])
    assert hash(Box(-1, 1, (2,))) == hash(Box([-1, -1], [1.0, 1.0]))
    assert Dict(a=Discrete(2), b=Discrete(3)) == Dict({"b": Discrete(3), "a": Discrete(2)})
    assert Discrete(3) != Discrete(3, start=1)
    assert Box(-1, 1, (2,)) != Box(-1, 1, (2, 1))
    assert Box(0, 1, (2,)) != Box(0, 1, (2,), np.int32)
    assert MultiBinary((2,)) != MultiDiscrete((2,))


@pytest.mark.parametrize(
    ("space", "value"),
    [
        (Box(-1, 1, (2,)), np.float32([0, 1.0001])),
        (Box(-1, 1, (2,)), np.float32([0, np.nan])),
        (Box(-1, 1, (2,)), np.float32([0, 0, 0])),
        (Box(-1, 1, (2,)), np.array(["a", "b"])),
        (Box(0, 255, (1,), np.uint8), np.float32([3.0])),
        (Discrete(3), 3),
        (Discrete(3), -1),
        (Discrete(3), 1.0),
        (Discrete(3), True),
        (Discrete(3, start=2), 1),
        (MultiDiscrete((2, 3)), np.array([2, 0])),
        (MultiDiscrete((2, 3)), np.array([0])),
        (MultiDiscrete((2, 3)), np.array([0.0, 1.0])),
        (MultiBinary((2,)), np.array([0, 2])),
        (MultiBinary((2,)), np.array([0.0, 1.0])),
        (Dict(a=Discrete(2)), {"a": 1, "b": 0}),
        (Dict(a=Discrete(2)), {}),
        (Dict(a=Discrete(2)), 1),
        (Tuple((Discrete(2),)), (1, 1)),
        (Tuple((Discrete(2),)), (2,)),
    ],
    ids=str,
)
def test_what_does_not_fit_is_not_contained(space: AbstractSpace, value: Any) -> None:
    assert not space.contains(value)


def test_bounds_are_contained() -> None:
    box = Box([0.1, -np.inf], [0.7, np.inf])
    assert box.contains(box.low)
    assert box.contains(box.high)
    assert box.contains(np.array([0.1, 0.0]))  # as float64 just below the bound, which was rounded to float32
    assert box.contains([0.5, 3])
    assert Box(-1, 1, (1,)).contains(np.array([1]))


def test_flatten_is_numbers_and_one_hot_choices() -> None:
    assert Box(0, 9, (2, 2), np.uint8).flatten(np.uint8([[1, 2], [3, 4]])).tolist() == [1, 2, 3, 4]
    assert Discrete(3, start=5).flatten(6).tolist() == [0, 1, 0]
    assert MultiDiscrete((2, 3), (0, 1)).flatten(np.array([1, 1])).tolist() == [0, 1, 1, 0, 0]
    assert MultiBinary((3,)).flatten(np.int8([1, 0, 1])).tolist() == [1, 0, 1]
    both = Dict(b=Discrete(2), a=Box(-1, 1, (1,)))
    assert both.flatten({"b": 1, "a": np.float32([0.5])}).tolist() == [0.5, 0, 1]  # a before b
    assert Tuple((Discrete(2), Discrete(2))).flatten((0, 1)).tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize(
    ("space", "value", "message"),
    [
        (Box(0, 255, (2,), np.uint8), np.float32([0.25, 1]), "Box of uint8 is given 0.25"),
        (Box(0, 255, (2,), np.uint8), np.array([3, 300]), "is given 300, but takes whole numbers from 0 to 255"),
        (Box(-5, 7, (), np.int32), np.nan, "is given nan"),
        (Discrete(4), 3.7, "Discrete is given 3.7"),
        (Discrete(500), 600, "is given 600, but takes whole numbers from 0 to 499"),
        (Discrete(500), -1, "is given -1"),
        (Discrete(3, start=2), 1, "from 2 to 4"),
        (MultiDiscrete((2, 3)), np.array([1, 3]), "MultiDiscrete is given 3"),
        (MultiDiscrete((2, 3)), np.array([0.5, 1]), "MultiDiscrete is given 0.5"),
        (MultiBinary((2,)), np.array([0, 2]), "MultiBinary is given 2"),
        (Dict(a=Discrete(2)), {"a": 2}, "Discrete is given 2"),
    ],
    ids=str,
)
def test_flatten_refuses_what_it_would_have_to_change(space: AbstractSpace, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        space.flatten(value)


def test_flatten_takes_whole_numbers_of_any_kind() -> None:
    assert Box(0, 255, (2,), np.uint8).flatten(np.array([3.0, 255.0])).tolist() == [3, 255]
    assert Box(0, 9, (), np.uint8).flatten(200).tolist() == [200]  # beyond its bounds, as some environments give
    assert Discrete(3).flatten(np.float32(2)).tolist() == [0, 0, 1]
    assert MultiBinary((2,)).flatten(np.array([True, False])).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: whole("Discrete.n", 2.7), "Discrete.n = 2.7, but it has to be a whole number"),
        (lambda: whole("Discrete.n", np.nan), "nan"),
        (lambda: whole("Discrete.n", "3"), "'3'"),
        (lambda: whole("Discrete.n", np.arange(2)), "whole number"),
        (lambda: Discrete(2**31 + 1), "int32"),
        (lambda: Discrete(3, start=2**31 - 2), "int32"),
        (lambda: MultiDiscrete((2, 3), (0, 2**31)), "int32"),
        (lambda: Box(0.5, 2.5, (2,), np.int32), "Box.low has a fraction, but its dtype is int32"),
    ],
)
def test_spaces_are_not_made_of_numbers_that_would_have_to_change(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_what_has_no_shape_is_contained_nowhere() -> None:
    for space in (Box(-1, 1, (2,)), Discrete(3), MultiDiscrete((2, 3)), MultiBinary((2,))):
        assert not space.contains([[1], [0, 1]])
    assert not Dict(a=Discrete(2)).contains({"a": 1, 3: 0})


def test_flatten_compiles_and_batches() -> None:
    space = Tuple((Discrete(2), Box(-1, 1, (2,))))
    batch = (jnp.asarray([0, 1]), jnp.ones((2, 2)))
    assert jax.jit(jax.vmap(space.flatten))(batch).tolist() == [[1, 0, 1, 1], [0, 1, 1, 1]]


@pytest.mark.parametrize("space", MASKABLE, ids=repr)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_masked_samples_are_legal(space: Any, data: Any) -> None:
    sizes = {Discrete: lambda s: (s.n,), MultiDiscrete: lambda s: s.nvec, MultiBinary: lambda s: (2,) * s.flat_size}
    groups = [data.draw(st.lists(st.booleans(), min_size=n, max_size=n).filter(any)) for n in sizes[type(space)](space)]
    mask = np.concatenate(groups)
    assert space.mask_size == len(mask)
    value = np.asarray(space.sample(key=jr.key(data.draw(st.integers(0, 99))), mask=jnp.asarray(mask)))
    assert space.contains(value)
    chosen = value.ravel() - (0 if isinstance(space, MultiBinary) else np.asarray(space.start))
    assert all(group[choice] for group, choice in zip(groups, chosen, strict=True))


def test_masked_samples_are_uniform_over_what_is_legal() -> None:
    values = np.array(draws(Discrete(4), 3000, jnp.asarray([True, False, True, True])))
    shares = np.bincount(values, minlength=4) / 3000
    assert abs(shares - [1 / 3, 0, 1 / 3, 1 / 3]).max() < 0.04  # standard error 0.009


def test_a_mask_that_bars_everything_gives_the_first_choice() -> None:
    assert int(Discrete(3, start=4).sample(key=jr.key(0), mask=jnp.zeros(3, bool))) == 4


@pytest.mark.parametrize("space", [Box(-1, 1, (2,)), Dict(a=Discrete(2)), Tuple((Discrete(2),))], ids=repr)
def test_a_mask_for_a_space_without_choices_is_refused(space: AbstractSpace) -> None:
    assert space.mask_size == 0
    with pytest.raises(ValueError, match=f"{type(space).__name__} takes no action mask, but one was given"):
        space.sample(key=jr.key(0), mask=jnp.ones(2, bool))


@pytest.mark.parametrize(
    ("space", "mean", "deviation"),
    [
        (Box(-1, 3, ()), 1, 4 / np.sqrt(12)),  # uniform
        (Box(-np.inf, np.inf, ()), 0, 1),  # normal
        (Box(2, np.inf, ()), 3, 1),  # exponential above the bound
        (Box(-np.inf, 2, ()), 1, 1),  # exponential below the bound
        (Box(0, 9, (), np.int32), 4.5, np.sqrt((10**2 - 1) / 12)),  # uniform over 10 integers
        (Box(0, 2**31 - 1, (), np.int32), 2.0**30, 2.0**31 / np.sqrt(12)),
        (Box(-(2**31), 2**31 - 1, (), np.int32), -0.5, 2.0**32 / np.sqrt(12)),
        (Box(1_000_000_000, 4_000_000_000, (), np.uint32), 2.5e9, 3e9 / np.sqrt(12)),
        (Box(0, 1_500_000_000, (), np.int32), 7.5e8, 1.5e9 / np.sqrt(12)),
        (Box(-100, 100, (), np.int8), 0, np.sqrt((201**2 - 1) / 12)),
        (Discrete(5, start=1), 3, np.sqrt(2)),
    ],
    ids=repr,
)
def test_samples_have_the_distribution_documented(space: AbstractSpace, mean: float, deviation: float) -> None:
    values = np.asarray(draws(space, 4000), np.float64)
    assert abs(values.mean() - mean) < 5 * deviation / np.sqrt(4000)
    assert abs(values.std() - deviation) < 0.1 * deviation


def test_sixty_four_bits_are_narrowed_and_bounds_saturate() -> None:
    assert Box(-1, 1, (1,), np.float64).dtype == np.float32
    assert Box(0, 2**40, (1,), np.int64).dtype == np.int32
    assert Box(0, 2**40, (1,), np.int64).high.tolist() == [2**31 - 1]
    assert Box(-np.inf, np.inf, (1,), np.int32).low.tolist() == [-(2**31)]
    assert Box(-1e308, np.inf, (1,)).low.tolist() == [np.finfo(np.float32).min]


def test_a_box_knows_images_and_bounds() -> None:
    assert Box(0, 255, (8, 8, 3), np.uint8).is_image
    assert not Box(0, 1, (8, 8, 3)).is_image
    assert Box(-1, 1, (2,)).is_bounded
    assert not Box(-1, [1, np.inf]).is_bounded
    with pytest.raises(ValueError, match="read-only"):
        Box(-1, 1, (2,)).low[0] = 5


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Box([0, 0, 0], [1, 1]), r"Box.low has shape \(3,\) but Box.high has shape \(2,\). Give both the same"),
        (lambda: Box(np.nan, 1, (2,)), r"Box.low holds NaN. Use -inf or inf"),
        (lambda: Box([0, 2], [1, 1]), r"Box.low\[1\] = 2.0 is above Box.high\[1\] = 1.0. Swap them."),
        (lambda: Discrete(0), r"Discrete.n = 0, but a space needs at least one choice"),
        (lambda: MultiDiscrete(()), r"MultiDiscrete.nvec = \(\), but it needs at least one component"),
        (lambda: MultiDiscrete((2, 0)), r"MultiDiscrete.nvec = \(2, 0\)"),
        (lambda: MultiDiscrete((2, 2), (1, 1, 1)), r"MultiDiscrete.start has 3 entries but nvec has 2"),
        (lambda: MultiBinary((0,)), r"MultiBinary.shape = \(0,\), but each dimension must be at least 1"),
        (lambda: Dict(), r"Dict has no members"),
        (lambda: Tuple(()), r"Tuple has no members"),
    ],
)
def test_impossible_spaces_are_refused(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
