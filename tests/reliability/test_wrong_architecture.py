"""Each recorded field, changed one by one and signed anew: refused by its path, or what is loaded is what is described."""

import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from jax import random as jr

from perdure._core import FileFormatError, FingerprintError, describe, leaf_to_numpy, leaves_with_paths
from perdure.checkpoint import load, load_policy, load_policy_of
from perdure.checkpoint._directory import METADATA, MODEL, TRAINING
from perdure.checkpoint._tensors import pack_tensors, read_header, view_tensors
from perdure.env import TimeLimit
from perdure.env.classic_control import CartPole
from perdure.policy import MLPActorCriticPolicy
from tests.support.reliability_kit import FULL, count, entry_of, resign, signed_eqx, signed_policy

pytestmark = pytest.mark.reliability
ENV = TimeLimit(CartPole(), 20)


def changes(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """`(path of the change, changed node)`: everything that a description says, changed one by one."""
    match node:
        case {"class": name, "fields": fields}:
            yield path, {**node, "class": "Discrete" if name != "Discrete" else "Box"}
            yield path, {**node, "class": name + "2"}
            yield path, {**node, "fields": [*fields, ["more", None]]}
            if "version" in node:
                yield path, {**node, "version": node["version"] + 1}
            for at, (field, member) in enumerate(fields):
                rest = fields[:at], fields[at + 1 :]
                yield f"{path}.{field}", {**node, "fields": [*rest[0], *rest[1]]}
                for place, changed in changes(member, f"{path}.{field}"):
                    yield place, {**node, "fields": [*rest[0], [field, changed], *rest[1]]}
        case {"leaf": kind, "dtype": dtype, "shape": shape}:
            yield path, {**node, "dtype": "float16" if dtype != "float16" else "float32"}
            yield path, {**node, "leaf": "numpy" if kind != "numpy" else "jax"}
            yield path, {**node, "shape": [*shape, 1]}
            yield path, {**node, "shape": shape[:-1]}
            for at, length in enumerate(shape):
                yield path, {**node, "shape": [*shape[:at], length + 1, *shape[at + 1 :]]}
        case {"array": dtype, "shape": shape}:
            yield path, {**node, "array": "float64" if dtype != "float64" else "float32"}
            yield path, {**node, "shape": [*shape, 1]}
            if "all" in node:
                yield path, {**node, "all": 0.5}
            else:
                yield path, {**node, "values": [0.5, *node["values"][1:]]}
        case {"function": name}:
            yield path, {"function": "relu" if name != "relu" else "tanh"}
            yield path, None
        case {"dtype": name}:
            yield path, {"dtype": "float16" if name != "float16" else "float32"}
        case {"default": value}:
            yield path, {"default": [value]}
        case bool():
            yield path, not node
        case int() | float():
            yield path, node + 1
            yield path, str(node)
        case str():
            yield path, node + "x"
        case None:
            yield path, 0.25
        case list():
            yield path, [*node, None]
            if node:
                yield path, node[:-1]
            for at, member in enumerate(node):
                for place, changed in changes(member, f"{path}[{at}]"):
                    yield place, [*node[:at], changed, *node[at + 1 :]]
        case _:
            raise AssertionError(f"nothing here changes {node}")


def names(error: FileFormatError, place: str) -> bool:
    """Whether an error names the place of a change: itself or what holds it, or the part around it that refuses its parts."""
    parent = re.sub(r"(\.\w+|\[\d+\])$", "", place)  # a class names its fields itself
    part = re.search(r": (policy[\w.\[\]]*): \w+ refuses what the file has", str(error))
    return parent.removeprefix("policy.") in str(error) or (part is not None and place.startswith(f"{part[1]}."))


@pytest.fixture(scope="module")
def policy():
    return MLPActorCriticPolicy(ENV, hidden_sizes=(2, 2, 2), key=jr.key(0))


@pytest.fixture(scope="module")
def tensors(policy):
    return {path: leaf_to_numpy(leaf) for path, leaf in leaves_with_paths(policy)}


def test_eqx_files_of_another_architecture_are_refused_by_path_with_both_values(policy, tmp_path, figures):
    path = tmp_path / "policy.eqx"
    policy.serialize(path)
    description = describe(policy)
    whole = path.read_bytes()
    text_length = int.from_bytes(whole[-52:-44], "little")
    leaves = whole[32 : len(whole) - 52 - text_length]
    assert signed_eqx(description, leaves) == whole
    cases, paths, wrong = 0, set(), []
    for place, changed in changes(description, "policy"):
        if place in paths and not FULL:
            continue
        path.write_bytes(signed_eqx(changed, leaves))
        cases += 1
        paths.add(place)
        try:
            MLPActorCriticPolicy.deserialize(path, ENV, hidden_sizes=(2, 2, 2), key=jr.key(0))
            wrong.append(f"{place}: loaded")
        except FingerprintError as error:
            told = re.search(rf"{re.escape(place)}[^:]*: file has (.+), this policy (?:has|needs) (.+)", str(error))
            if told is None or told[1] == told[2] or str(path) not in str(error):
                wrong.append(f"{place}: {error}")
        except FileFormatError as error:  # a class with a history, in a version that it has not
            if f"{path}: {place}: the file has" not in str(error):
                wrong.append(f"{place}: {error}")
    figures(changes=cases, fields=len(paths), not_refused=len(wrong))
    assert not wrong, "\n".join(wrong)
    assert len(paths) >= 60


def test_policy_files_hold_what_they_describe_or_are_refused_by_path(policy, tensors, tmp_path, figures):
    path = tmp_path / "policy.safetensors"
    cases, refused, other, wrong = 0, 0, 0, []
    for place, changed in islice(changes(describe(policy), "policy"), 0, None, count(3, 1)):
        path.write_bytes(signed_policy(changed, tensors))
        cases += 1
        try:
            loaded = load_policy(path)
            other += 1
            if describe(loaded) != changed:  # something in the file was passed over
                wrong.append(f"{place}: loaded as {describe(loaded)}")
        except FileFormatError as error:
            refused += 1
            if not names(error, place) or str(path) not in str(error):
                wrong.append(f"{place}: {error}")
    figures(changes=cases, refused=refused, another_policy=other, passed_over=len(wrong))
    assert not wrong, "\n".join(wrong)
    assert refused > other > 0


def test_arrays_that_are_not_those_described_are_refused_with_both_shapes(policy, tensors, tmp_path, figures):
    path, cases = tmp_path / "policy.safetensors", 0
    described = dict(describe_leaves(policy))
    for name in list(tensors)[:: count(4, 1)]:
        for other in (tensors[name].astype("float64"), tensors[name][None]):
            path.write_bytes(signed_policy(describe(policy), {**tensors, name: other}))
            with pytest.raises(FileFormatError) as error:
                load_policy(path)
            has, needs = f"{other.dtype}{list(other.shape)}", f"{tensors[name].dtype}{list(tensors[name].shape)}"
            assert described[name] in str(error.value)
            assert f"data is {has}, the description says {needs}" in str(error.value)
            cases += 1
        path.write_bytes(signed_policy(describe(policy), {n: array for n, array in tensors.items() if n != name}))
        with pytest.raises(FileFormatError, match=f"{re.escape(described[name])}: the file has no array"):
            load_policy(path)
        cases += 1
    figures(changes=cases)


def describe_leaves(policy: Any) -> Iterator[tuple[str, str]]:
    """Each leaf's path in a file, and in messages."""
    for path, _ in leaves_with_paths(policy):
        yield path, "policy." + re.sub(r"\.(\d+)", r"[\1]", path)


def test_directories_hold_what_they_describe_or_are_refused(checkpoint, figures):
    whole = json.loads((checkpoint / METADATA).read_bytes())
    cases, other, wrong = 0, 0, []
    for place, changed in islice(changes(whole["policy"], "policy"), 0, None, count(3, 1)):
        resign(checkpoint, {"policy": changed})
        cases += 1
        try:
            loaded = load_policy_of(checkpoint)
            other += 1
            if describe(loaded) != changed:
                wrong.append(f"{place}: loaded as {describe(loaded)}")
        except FileFormatError as error:
            if not names(error, place) or str(checkpoint) not in str(error):
                wrong.append(f"{place}: {error}")
    resign(checkpoint, {"policy": whole["policy"]})
    for place, changed in islice(changes(whole["env"], "env"), 0, None, count(3, 1)):
        resign(checkpoint, {"env": changed})
        cases += 1
        try:
            other += (
                describe(load(checkpoint).state.env, root="env") == changed
                or wrong.append(f"{place}: passed over")
                or 0
            )
        except FileFormatError as error:
            if str(checkpoint) not in str(error):
                wrong.append(f"{place}: {error}")
    figures(changes=cases, another=other, passed_over=len(wrong))
    assert not wrong, "\n".join(wrong)


def test_settings_that_are_not_those_of_the_algorithm_are_refused_by_name(checkpoint, figures):
    whole = json.loads((checkpoint / METADATA).read_bytes())
    cases, wrong = 0, []
    for name in whole["settings"]:
        renamed = {("other_" if own == name else "") + own: value for own, value in whole["settings"].items()}
        for settings in (renamed, {**whole["settings"], name: {"a": 1}}):
            resign(checkpoint, {"settings": settings})
            cases += 1
            try:
                load(checkpoint)
                wrong.append(f"{name}: loaded")
            except FileFormatError as error:
                if name not in str(error) or str(checkpoint) not in str(error):
                    wrong.append(f"{name}: {error}")
    figures(changes=cases, not_refused=len(wrong))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", [MODEL, TRAINING])
def test_arrays_of_a_training_that_do_not_fit_are_refused_by_path(checkpoint, name, figures):
    path: Path = checkpoint / name
    whole, files = path.read_bytes(), json.loads((checkpoint / METADATA).read_bytes())["files"]
    with open(path, "rb") as file:
        entries, metadata, start = read_header(file, len(whole))
    arrays = view_tensors(whole, entries, start)
    cases = 0
    for leaf, array in list(arrays.items())[:: count(3, 1)]:
        rest = {own: other for own, other in arrays.items() if own != leaf}
        other = array.astype("int8" if array.dtype == bool else bool)
        for changed in (rest, {**rest, leaf: array[None]}, {**rest, leaf: other}, {**arrays, "x": array}):
            path.write_bytes(pack_tensors(changed, metadata))
            resign(checkpoint, {"files": {**files, name: entry_of(path)}})
            with pytest.raises(FileFormatError, match=re.escape(str(checkpoint))) as error:
                load(checkpoint)
            words = re.sub(r"\.(\d+)", r"[\1]", leaf)
            assert "x" in changed or leaf in str(error.value) or words in str(error.value)
            cases += 1
    figures(changes=cases)
