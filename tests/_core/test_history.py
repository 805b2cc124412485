"""A file outlives its class: fields that come, go, move and change; classes that are renamed, split and retired."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from perdure._core import (
    FileFormatError,
    _history,
    _registry,
    describe,
    fingerprint,
    leaf_to_numpy,
    leaves_with_paths,
    rebuild,
)
from perdure.checkpoint import load_policy, read_policy_header, save_policy
from perdure.utils import (
    Instance,
    Leaf,
    Serializable,
    added,
    became,
    changed,
    leaf,
    learned,
    register,
    removed,
    renamed,
    reordered,
    retired,
)


class Inner(eqx.Module):
    weight: Array
    scale: float = eqx.field(static=True)


class Outer(eqx.Module):
    first: Inner
    second: tuple[Inner, ...]
    size: int = eqx.field(static=True)


@pytest.fixture
def classes():
    """A function that registers a class under a name for the time of the test, in place of whatever had it."""
    kept = {name: dict(getattr(_registry, name)) for name in ("_steps", "_retired", "_names")}
    holders = {kind: dict(held) for kind, held in _registry._holders.items()}

    def define(cls: type, name: str, *upgrades: Callable) -> type:
        _registry._holders["class"].pop(name, None)
        return register(cls, name=name, upgrades=upgrades)

    yield define
    for name, before in kept.items():
        getattr(_registry, name).clear()
        getattr(_registry, name).update(before)
    for kind, held in holders.items():
        _registry._holders[kind].clear()
        _registry._holders[kind].update(held)


@pytest.fixture
def old(classes):
    """The description and arrays of a file in which all classes are of version 1."""
    classes(Inner, "Inner")
    classes(Outer, "Outer")
    tree = Outer(Inner(jnp.arange(3.0), 0.5), (Inner(jnp.ones(2), 2.0),), 7)
    return describe(tree), {path: leaf_to_numpy(x) for path, x in leaves_with_paths(tree)}


def paths(tree) -> list[str]:
    return [path for path, _ in leaves_with_paths(tree)]


def test_a_class_without_upgrades_is_described_as_before(old):
    assert "version" not in str(old[0])


def test_a_field_is_added_with_what_it_meant(classes, old):
    class New(eqx.Module):
        bias: float = eqx.field(static=True)
        weight: Array
        scale: float = eqx.field(static=True)
        gain: Array
        shift: float  # a leaf: a number in a field that is not static

    classes(New, "Inner", added(bias=1.5, gain=jnp.full(2, 3.0), shift=0.25))
    found = rebuild(*old).first
    assert (found.bias, found.scale, found.shift) == (1.5, 0.5, 0.25)
    np.testing.assert_array_equal(found.gain, [3.0, 3.0])
    np.testing.assert_array_equal(found.weight, [0.0, 1.0, 2.0])


def test_tuples_functions_and_records_are_added(classes, old):
    class Record(eqx.Module):
        width: int = eqx.field(static=True)

    class New(eqx.Module):
        weight: Array
        scale: float = eqx.field(static=True)
        sizes: tuple[int, ...] = eqx.field(static=True)
        activation: Callable = eqx.field(static=True)
        record: Record
        nothing: None

    classes(Record, "Record")
    record = Instance("Record", {"width": 4})
    classes(New, "Inner", added(sizes=(1, 2), activation=jnp.tanh, record=record, nothing=None))
    found = rebuild(*old).first
    assert (found.sizes, found.activation, found.record.width, found.nothing) == ((1, 2), jnp.tanh, 4, None)


def test_what_a_step_cannot_say_is_refused_where_it_is_written():
    with pytest.raises(TypeError, match="a step adds object"):
        added(thing=object())


def test_a_field_is_renamed_and_its_array_moves(classes, old):
    class New(eqx.Module):
        kernel: Array
        scale: float = eqx.field(static=True)

    classes(New, "Inner", renamed(weight="kernel"))
    found = rebuild(*old)
    assert paths(found) == ["first.kernel", "second.0.kernel"]
    np.testing.assert_array_equal(found.second[0].kernel, [1.0, 1.0])


def test_steps_follow_one_another_and_each_sees_the_version_before(classes, old):
    class New(eqx.Module):
        kernel: Array
        level: float = eqx.field(static=True)

    def doubled(instance: Instance) -> Instance:
        assert list(instance.fields) == ["kernel", "level"]
        return Instance(instance.name, {**instance.fields, "level": 2 * instance.fields["level"]}, instance.version)

    classes(New, "Inner", renamed(weight="kernel"), renamed(scale="level"), doubled)
    assert rebuild(*old).first.level == 1.0


def test_a_step_sees_its_parts_as_the_file_has_them(classes, old):
    class NewInner(eqx.Module):
        kernel: Array
        scale: float = eqx.field(static=True)

    class NewOuter(eqx.Module):
        first: NewInner
        size: int = eqx.field(static=True)

    def second_dropped(outer: Instance) -> Instance:
        assert list(outer.fields["first"].fields) == ["weight", "scale"]  # not brought to today's yet
        del outer.fields["second"]
        return outer

    classes(NewInner, "Inner", renamed(weight="kernel"))
    classes(NewOuter, "Outer", second_dropped)
    assert paths(rebuild(old[0], old[1] | {})) == ["first.kernel"]


def test_a_class_is_split_and_its_arrays_move(classes, old):
    class Weights(eqx.Module):
        weight: Array

    class New(eqx.Module):
        weights: Weights
        scale: float = eqx.field(static=True)

    def split(inner: Instance) -> Instance:
        weights = Instance("Weights", {"weight": inner.fields["weight"]})
        return Instance("Inner", {"weights": weights, "scale": inner.fields["scale"]}, inner.version)

    classes(Weights, "Weights")
    classes(New, "Inner", split)
    found = rebuild(*old)
    assert paths(found) == ["first.weights.weight", "second.0.weights.weight"]
    np.testing.assert_array_equal(found.first.weights.weight, [0.0, 1.0, 2.0])


def test_leaves_are_changed_and_static_numbers_learned(classes, old):
    class New(eqx.Module):
        weight: Array
        scale: Array

    classes(New, "Inner", changed(weight=lambda array: array[::-1]), learned(scale="float32"))
    found = rebuild(*old).first
    np.testing.assert_array_equal(found.weight, [2.0, 1.0, 0.0])
    assert (found.scale.dtype, float(found.scale)) == (jnp.float32, 0.5)


def test_a_class_that_is_no_more_becomes_another(classes, old):
    class Renamed(eqx.Module):
        weight: Array
        scale: float = eqx.field(static=True)
        more: int = eqx.field(static=True)

    _registry._holders["class"].pop("Inner")
    retired("Inner", became("Renamed"))
    classes(Renamed, "Renamed", added(more=1))
    assert type(rebuild(*old).first) is Renamed
    assert rebuild(*old).first.more == 1


def test_a_renamed_class_keeps_its_later_history_only(classes, old):
    class Renamed(eqx.Module):
        weight: Array

    _registry._holders["class"].pop("Inner")
    retired("Inner", became("Renamed", version=2))
    classes(Renamed, "Renamed", added(never=0), removed("scale"))
    assert paths(rebuild(*old)) == ["first.weight", "second.0.weight"]


def test_another_order_of_fields_must_be_said(classes, old):
    class New(eqx.Module):
        scale: float = eqx.field(static=True)
        weight: Array

    classes(New, "Inner")
    with pytest.raises(FileFormatError, match=r"Inner with the fields weight, scale; this version .* scale, weight"):
        rebuild(*old)
    classes(New, "Inner", reordered())
    assert rebuild(*old).first.scale == 0.5


def test_a_field_without_a_step_is_refused_with_the_mend(classes, old):
    class New(eqx.Module):
        weight: Array

    classes(New, "Inner")
    with pytest.raises(FileFormatError, match=r"policy.first: the file has Inner .*@register\(upgrades="):
        rebuild(*old)


def test_a_later_version_is_refused_with_what_to_install(classes, tmp_path):
    @register(name="Thing", upgrades=[reordered()])
    class Thing(Serializable):
        x: Array

    save_policy(tmp_path / "thing", Thing(jnp.ones(1)))
    Thing(jnp.ones(1)).serialize(tmp_path / "thing")
    assert read_policy_header(tmp_path / "thing").listing()[0] == ("policy", "Thing (version 2)")
    classes(Thing, "Thing")
    with pytest.raises(
        FileFormatError, match=r"policy: the file has Thing in version 2, .* 1\. Update the module tests"
    ):
        load_policy(tmp_path / "thing")
    with pytest.raises(FileFormatError, match=r"Thing in version 2, and this process knows version 1"):
        Thing.deserialize(tmp_path / "thing", jnp.ones(1))


def test_a_later_version_of_ours_names_the_version_that_wrote_it(old):
    description = {**old[0], "version": 9}
    _registry._holders["class"].pop("Outer")
    with pytest.raises(FileFormatError, match=r'Outer in version 9, .* pip install "perdure>=4.2.0"'):
        rebuild(description, old[1], written_by={"perdure": "4.2.0"})
    with pytest.raises(FileFormatError, match=r"pip install --upgrade perdure"):
        rebuild(description, old[1], written_by={"perdure": "; rm -rf /"})


def test_a_later_version_of_a_package_names_it_and_its_version(classes, monkeypatch, tmp_path):
    @register(name="Thing", upgrades=[reordered()])
    class Thing(Serializable):
        x: Array

    versions = {"tests": "2.3.1"}
    monkeypatch.setattr(_history, "installed_version", versions.get)
    save_policy(tmp_path / "thing", Thing(jnp.ones(1)))
    Thing(jnp.ones(1)).serialize(tmp_path / "thing")
    assert read_policy_header(tmp_path / "thing").written_by["tests"] == "2.3.1"
    classes(Thing, "Thing")
    wanted = r'Thing in version 2, .* Install a newer tests: pip install "tests>=2.3.1"'
    with pytest.raises(FileFormatError, match=wanted):
        load_policy(tmp_path / "thing")
    with pytest.raises(FileFormatError, match=wanted):
        Thing.deserialize(tmp_path / "thing", jnp.ones(1))


def test_a_forged_description_that_is_very_deep_is_refused(classes):
    classes(Inner, "Inner", reordered())
    deep: list = [{"class": "Inner", "fields": []}]
    for _ in range(290):
        deep = [deep]
    with pytest.raises(FileFormatError, match="nested"):
        rebuild(deep, {})


@pytest.mark.parametrize("version", [True, 1, 1.0, 2.0, 0, -1, "2", None, [2]])
def test_a_version_that_is_none_is_refused(classes, old, version):
    classes(Outer, "Outer", reordered())
    with pytest.raises(FileFormatError):
        rebuild({**old[0], "version": version}, old[1])


def test_what_is_wrong_with_a_step_names_the_class_and_its_version(classes, old):
    classes(Inner, "Inner", renamed(nothing="something"))
    with pytest.raises(
        FileFormatError, match=r"policy.first: the file has Inner in version 1, but not as that version was"
    ):
        rebuild(*old)


def test_names_in_a_circle_come_to_an_end(classes, old):
    _registry._holders["class"].pop("Inner")
    retired("Inner", became("Other"))
    retired("Other", became("Inner"))
    with pytest.raises(FileFormatError, match="circle"):
        rebuild(*old)


def test_a_name_is_retired_once_and_not_taken_again(classes):
    retired("Gone", became("Inner"))
    with pytest.raises(ValueError, match="'Gone' cannot be retired"):
        retired("Gone", became("Inner"))
    with pytest.raises(ValueError, match="'Gone' is the name of a retired class"):
        register(Inner, name="Gone")
    with pytest.raises(ValueError, match="'Nothing' cannot be retired: nothing is said"):
        retired("Nothing")
    classes(Inner, "Inner")
    with pytest.raises(ValueError, match="'Inner' cannot be retired: a class has that name"):
        retired("Inner", became("Other"))


def test_a_function_has_no_history():
    with pytest.raises(TypeError, match="is a function"):
        register(lambda x: x, name="f", upgrades=[added(x=1)])


def test_eqx_files_of_before_load_and_differences_are_told_in_the_words_of_today(classes, tmp_path):
    @register(name="Scaled")
    class Scaled(Serializable):
        weight: Array
        scale: float = eqx.field(static=True)

    Scaled(jnp.arange(2.0), 0.5).serialize(tmp_path / "old")
    written = (tmp_path / "old.eqx").read_bytes()

    class New(Serializable):
        gain: float
        scale: float = eqx.field(static=True)
        kernel: Array

    classes(New, "Scaled", renamed(weight="kernel"), added(gain=3.0))
    found = New.deserialize(tmp_path / "old", 0.0, 0.5, jnp.zeros(2))
    assert (found.gain, found.scale) == (3.0, 0.5)
    np.testing.assert_array_equal(found.kernel, [0.0, 1.0])
    with pytest.raises(ValueError, match=r"scale: file has 0.5, this New has 0.25"):
        New.deserialize(tmp_path / "old", 0.0, 0.25, jnp.zeros(2))
    found.serialize(tmp_path / "new")
    assert New.deserialize(tmp_path / "new", 0.0, 0.5, jnp.zeros(2)).gain == 3.0
    assert (tmp_path / "old.eqx").read_bytes() == written


def test_the_fingerprint_is_of_what_the_file_itself_says(classes, tmp_path):
    @register(name="Scaled")
    class Scaled(Serializable):
        weight: Array

    before = fingerprint(Scaled(jnp.ones(1)))
    save_policy(tmp_path / "old", Scaled(jnp.ones(1)))

    class New(Serializable):
        kernel: Array

    classes(New, "Scaled", renamed(weight="kernel"))
    assert read_policy_header(tmp_path / "old").fingerprint == before.hex()
    assert fingerprint(load_policy(tmp_path / "old")) == fingerprint(New(jnp.ones(1))) != before


def test_a_step_meets_forged_leaves_without_data(classes, old):
    classes(Inner, "Inner", changed(weight=lambda array: array + 1))
    with pytest.raises(FileFormatError, match="but not as that version was"):
        rebuild(old[0], {})


def test_leaves_that_a_target_lacks_stay_none(classes):
    step = changed(weight=np.negative)
    assert step(Instance("Inner", {"weight": None})).fields == {"weight": None}


def test_leaf_holds_jax_and_numpy_arrays():
    assert leaf(jnp.ones(2)).node == {"leaf": "jax", "dtype": "float32", "shape": [2]}
    assert isinstance(leaf(np.int8(3)), Leaf)
    assert jax.tree.leaves(leaf(jnp.zeros(1)).array)[0].tolist() == [0.0]
