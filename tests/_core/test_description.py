import contextlib
import dataclasses
import functools
import json
import math
import re
from typing import Any, NamedTuple

import equinox as eqx
import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure._core import (
    FileFormatError,
    describe,
    differences,
    dumps_json,
    fingerprint,
    leaf_to_numpy,
    leaves_with_paths,
    listing,
    loads_json,
    rebuild,
    register,
)
from perdure.space import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from tests.support.small_modules import Head, SmallPolicy


@register
class Holder(eqx.Module):
    static: Any = eqx.field(static=True)
    leaf: Any = None


@register
@dataclasses.dataclass(frozen=True)
class FrozenRecord:
    value: Any


@register
class Pair(NamedTuple):
    first: Any
    second: Any


def through_file(tree: Any) -> Any:
    description = loads_json(dumps_json(describe(tree)))
    return rebuild(description, {path: leaf_to_numpy(leaf) for path, leaf in leaves_with_paths(tree)})


def assert_returns(tree: Any) -> Any:
    """Equal structure and bit-equal leaves; `describe` tells 1 from 1.0, 0.0 from -0.0 and a list from a tuple."""
    again = through_file(tree)
    assert dumps_json(describe(again)) == dumps_json(describe(tree))
    pairs = zip(leaves_with_paths(tree), leaves_with_paths(again), strict=True)
    for (path, old), (path_again, new) in pairs:
        assert path == path_again
        assert leaf_to_numpy(old).tobytes() == leaf_to_numpy(new).tobytes()
        assert isinstance(new, jax.Array) if isinstance(old, jax.Array) else type(new) is type(old)
    return again


floats = st.floats(allow_nan=True, allow_infinity=True)
arrays = st.builds(
    lambda dtype, shape: np.arange(math.prod(shape)).reshape(shape).astype(dtype),
    st.sampled_from(["bool", "int8", "uint32", "float16", "float32"]),
    st.lists(st.integers(0, 3), max_size=3).map(tuple),
)
statics = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | floats | st.text() | st.binary() | arrays,
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
leaves = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | floats
    | arrays
    | arrays.map(jnp.asarray)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.builds(Pair, inner, inner) | st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=8,
)


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(statics, leaves)
def test_rebuild_is_the_inverse_of_describe(static, leaf):
    assert_returns(Holder(FrozenRecord(static), leaf))


def test_one_of_everything_returns():
    again = assert_returns(SmallPolicy(key=jr.key(0)))
    assert again.epsilon == 0.1
    assert again.bounds == Box(-1, np.inf, (3,))
    assert jr.bits(again.key) == jr.bits(jr.key(7))


def test_every_space_returns():
    spaces = (
        Box(0, 255, (84, 84, 4), np.uint8),
        Box([-1.0, -np.inf], [0.1, 3.0e38]),
        Discrete(3, 1),
        MultiDiscrete((2, 3)),
        MultiBinary((2, 2)),
        Dict(b=Discrete(2), a=Tuple((Discrete(1), Box(-1, 1, ())))),
    )
    assert through_file(Holder(spaces)).static == spaces


def test_an_image_space_is_described_in_few_bytes():
    assert len(dumps_json(describe(Holder(Box(0, 255, (84, 84, 4), np.uint8))))) < 300


@pytest.mark.parametrize("implementation", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_typed_keys_return_with_their_implementation(implementation):
    keys = jr.split(jr.key(3, impl=implementation), 2)
    again = through_file(Holder(None, keys)).leaf
    assert again.dtype == keys.dtype
    assert (jr.key_data(again) == jr.key_data(keys)).all()


def test_a_partial_of_a_registered_function_returns():
    again = through_file(Holder(functools.partial(jax.nn.leaky_relu, negative_slope=0.2))).static
    assert again(-1.0) == np.float32(-0.2)


def test_shapes_are_described_like_the_arrays_they_stand_for():
    made = functools.partial(eqx.nn.MLP, 3, 2, 4, 1, key=jr.key(0))
    assert fingerprint(eqx.filter_eval_shape(made)) == fingerprint(made())


def test_paths_of_dict_keys_cannot_be_confused():
    tree = Holder(None, {"a.b": 1.0, "a": {"b": 2.0}, "": 3.0, "%": 4.0})
    assert len(dict(leaves_with_paths(tree))) == 4
    assert_returns(tree)


def test_a_static_number_is_a_value_and_a_stored_number_only_a_kind():
    assert fingerprint(Holder(1.0, 1.0)) == fingerprint(Holder(1.0, 2.0))
    different = [
        Holder(1.0, 1.0),
        Holder(2.0, 1.0),
        Holder(1, 1.0),
        Holder(True, 1.0),
        Holder(1.0, 1),
        Holder("1", 1.0),
        Holder(0.0, 1.0),
        Holder(-0.0, 1.0),
    ]
    assert len({fingerprint(tree) for tree in different}) == len(different)


def test_minus_zero_has_a_word_of_its_own():
    assert '{"float": "-0.0"}' in json.dumps(describe(Holder(-0.0, 1.0)))


def test_order_of_the_fields_and_of_heads_is_part_of_the_fingerprint():
    a, b = Head(jnp.zeros(2), 0.5), Head(jnp.zeros(2), 0.25)
    assert fingerprint(Holder(None, (a, b))) != fingerprint(Holder(None, (b, a)))


CHANGES = {
    "width": (dict(width=5), r"heads\[0\].weight: file has float32\[5,3\], this policy needs float32\[2,3\]"),
    "depth": (dict(depth=3), r"policy.heads: file has a tuple of 3, this policy has a tuple of 2"),
    "activation": (dict(activation=jax.nn.relu), r"policy.activation: file has 'relu', this policy has 'tanh'"),
    "float": (dict(scale=0.2), r"heads\[0\].scale: file has 0.2, this policy has 0.1"),
    "dtype": (dict(dtype=jnp.float16), r"policy.half: file has float16\[3\], this policy needs bfloat16\[3\]"),
    "bound": (dict(high=2.0), r"bounds.high: file has float32\[3\] all 2.0, this policy has float32\[3\] all inf"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_is_seen_and_named_with_both_values(change):
    arguments, line = CHANGES[change]
    ours, theirs = SmallPolicy(key=jr.key(0)), SmallPolicy(key=jr.key(0), **arguments)
    assert fingerprint(ours) != fingerprint(theirs)
    lines = differences(describe(ours), describe(theirs))
    assert any(re.search(line, found) for found in lines), lines


def test_only_the_first_differences_are_shown():
    lines = differences(describe(Holder(tuple(range(9)))), describe(Holder(tuple(range(1, 10)))), limit=2)
    assert lines[1:] == ["policy.static[1]: file has 2, this policy has 1", "and 7 more"]


def test_long_values_that_differ_late_look_different():
    ours, theirs = np.zeros(1000), np.zeros(1000)
    ours[0] = theirs[0] = 1
    theirs[-1] = 2
    (line,) = differences(describe(FrozenRecord(ours)), describe(FrozenRecord(theirs)))
    assert line.startswith("policy.value: file has float64[1000] [1.0, 0.0")
    assert len(line) < 500


def test_a_listing_names_every_field():
    rows = dict(listing(describe(SmallPolicy(key=jr.key(0)))))
    assert rows["policy.heads[1].weight"] == "float32[2,3]"
    assert rows["policy.epsilon"] == "a stored float"
    assert rows["policy.activation"] == "'tanh'"


def test_an_unregistered_function_is_refused_with_the_line_that_registers_it():
    def my_activation(x):
        return x

    with pytest.raises(TypeError, match=r'policy.static.*utils.register\(my_activation, name="my_activation"\)'):
        describe(Holder(my_activation))
    with pytest.raises(TypeError, match=r'policy.leaf\[0\].*register\(my_function, name="my_function"\)'):
        describe(Holder(None, [lambda x: x]))


def test_what_files_do_not_hold_is_refused_by_path():
    loop: list = []
    loop.append(loop)
    for value, complaint in [
        (object(), r"policy.value is of type object"),
        ({1: 2}, r"policy.value has the key 1, a int"),
        ((jnp.zeros(1),), r"policy.value\[0\] is a JAX array in a static place"),
        (np.array(["a"]), r"policy.value: 'str\d+' is no dtype"),
        (float, r"policy.value is float, a class"),
        (loop, r"deep. Does it contain itself"),
    ]:
        with pytest.raises(TypeError, match=complaint):
            describe(FrozenRecord(value))


def test_an_unregistered_class_is_described_but_not_where_it_must_be_rebuilt():
    class Stranger(eqx.Module):
        x: int = eqx.field(static=True, default=1)

    assert describe(Stranger())["fields"] == [["x", 1]]
    with pytest.raises(TypeError, match=r"policy.leaf.*Stranger.*@perdure.utils.register"):
        describe(Holder(None, Stranger()), registered_only=True)


def test_a_field_left_at_the_value_of_its_class_is_held_to_it():
    class Lazy(eqx.Module):
        rate: float = 0.5

        def __init__(self):
            pass

    register(Lazy)
    description = describe(Lazy())
    assert description["fields"] == [["rate", {"default": 0.5}]]
    assert rebuild(description, {}).rate == 0.5
    with pytest.raises(FileFormatError, match=r"policy.rate.*now has another value"):
        rebuild({**description, "fields": [["rate", {"default": 0.25}]]}, {})


BOX = {"array": "float32", "shape": [2], "all": 0.0}


def box(low: Any, high: Any) -> dict:
    return {"class": "Box", "fields": [["low", low], ["high", high]]}


@pytest.mark.parametrize(
    "node",
    [
        {"class": "os.system", "fields": []},
        {"class": "Box", "fields": [["low", BOX]]},
        {"class": "Box", "fields": [["low", BOX], ["low", BOX]]},
        {"class": "Box", "fields": [["low", BOX], [["high"], BOX]]},
        {"class": "Box", "fields": {"low": BOX, "high": BOX}},
        {"class": ["Box"], "fields": []},
        {"class": "Box", "fields": [["low", BOX], ["high", BOX]], "more": 1},
        box(1, 2),
        box(BOX, {**BOX, "all": -1.0}),
        box(BOX, {**BOX, "all": 0}),
        box(BOX, {**BOX, "all": 1e300}),
        box(BOX, {**BOX, "all": [0.0]}),
        box(BOX, {**BOX, "shape": [-1]}),
        box(BOX, {**BOX, "shape": [2**40]}),
        box(BOX, {**BOX, "shape": [2**62, 2**62]}),
        box(BOX, {**BOX, "shape": [1] * 40}),
        box(BOX, {**BOX, "shape": "2"}),
        box(BOX, {**BOX, "array": "object"}),
        box(BOX, {"array": "float32", "shape": [2], "values": [0.0]}),
        box(BOX, {"leaf": "jax", "dtype": "float32", "shape": [2]}),
        {"leaf": "jax", "dtype": "float32", "shape": [2]},
        {"leaf": "python", "dtype": "float", "shape": [1]},
        {"leaf": [], "dtype": {}, "shape": []},
        {"function": "system"},
        {"function": []},
        {"partial": {"class": "Discrete", "fields": [["n", 2], ["start", 0]]}, "arguments": [], "keywords": {}},
        {"class": "Discrete", "fields": [["n", "many"], ["start", 0]]},
        {"class": "Discrete", "fields": [["n", 0], ["start", 0]]},
        {"float": "1.0"},
        {"int": "0xzz"},
        {"bytes": "0"},
        {"scalar": "int8", "value": 1000},
        {"dtype": "O"},
        {},
        1.0,
        functools.reduce(lambda inner, _: [inner], range(100), None),
    ],
    ids=lambda node: str(node)[:60],
)
def test_a_hostile_description_is_refused(node):
    for description in ([node], {"class": "Holder", "fields": [["static", None], ["leaf", node]]}):
        with pytest.raises(FileFormatError):
            rebuild(description, {})
    assert isinstance(differences(node, None), list)
    assert list(listing(node))


keys = (
    *("class", "fields", "leaf", "dtype", "shape", "list", "dict", "float", "int", "bytes", "scalar", "value", "array"),
    *("all", "values", "function", "partial", "arguments", "keywords", "default"),
)
names = st.sampled_from(["Box", "Holder", "tanh", "jax", "key", "float32", "object"])
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(keys), inner | names, max_size=4),
    max_leaves=12,
)


@hypothesis.settings(max_examples=200, deadline=None)
@hypothesis.given(json_values)
def test_a_random_description_raises_nothing_but_file_format_errors(node):
    description = {"class": "Holder", "fields": [["static", node], ["leaf", node]]}
    with contextlib.suppress(FileFormatError):
        rebuild(description, {})
    assert json.dumps(list(listing(description)))
    assert isinstance(differences(describe(Holder(1)), description), list)


def test_arrays_left_over_or_of_another_shape_are_refused():
    tree = Holder(None, jnp.zeros(2))
    with pytest.raises(FileFormatError, match="belong to no field, the first is 'extra'"):
        rebuild(describe(tree), {"leaf": np.zeros(2, np.float32), "extra": np.zeros(1)})
    with pytest.raises(FileFormatError, match=r"policy.leaf: data is float32\[3\], the description says float32\[2\]"):
        rebuild(describe(tree), {"leaf": np.zeros(3, np.float32)})
    with pytest.raises(FileFormatError, match="has no array 'leaf'"):
        rebuild(describe(tree), {})


def test_64_bit_arrays_are_not_narrowed_silently():
    description = describe(Holder(None, jax.ShapeDtypeStruct((2,), np.float64)))
    with pytest.raises(FileFormatError, match="jax_enable_x64"):
        rebuild(description, {"leaf": np.zeros(2)})
