import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from jax import random as jr

from perdure._core import FileFormatError, dumps_json, fingerprint, leaf_to_numpy, leaves_with_paths, sha256
from perdure.checkpoint import load_policy, read_policy_header, save_policy
from perdure.checkpoint._tensors import pack_tensors
from perdure.space import Box
from perdure.utils import Serializable, register

GOLDEN = Path(__file__).parent.parent / "golden"


@register(name="tests.policy_file.Policy")
class Policy(Serializable):
    weight: jax.Array
    transposed: np.ndarray
    key: jax.Array
    legal: jax.Array
    half: jax.Array
    epsilon: float
    steps: int
    activation: Any
    space: Box = eqx.field(static=True)

    def __init__(self, seed: int = 0):
        self.weight = jr.normal(jr.key(seed), (2, 3))
        self.transposed = np.arange(6, dtype=np.float32).reshape(2, 3).T
        self.key = jr.key(7)
        self.legal = jnp.array([True, False, True])
        self.half = jnp.array([1.5, -0.0], jnp.bfloat16)
        self.epsilon, self.steps = 0.1, 2**40
        self.activation = jnp.tanh
        self.space = Box(0, 255, (84, 84, 4), np.uint8)


@register(name="tests.policy_file.Tiny")
class Tiny(Serializable):
    weight: jax.Array
    on: bool = True


def assert_equal(one, other):
    assert fingerprint(one) == fingerprint(other)
    for (path, left), (_, right) in zip(leaves_with_paths(one), leaves_with_paths(other), strict=True):
        assert leaf_to_numpy(left).tobytes() == leaf_to_numpy(right).tobytes(), path
        assert isinstance(right, jax.Array) if isinstance(left, jax.Array) else type(left) is type(right), path


@pytest.fixture
def tiny_file(tmp_path):
    save_policy(tmp_path / "tiny", Tiny(jnp.array([1.0, 2.0])))
    return tmp_path / "tiny.safetensors"


def test_a_policy_comes_back_without_arguments(tmp_path):
    save_policy(tmp_path / "policy-0.95", Policy())
    assert [path.name for path in tmp_path.iterdir()] == ["policy-0.95.safetensors"]
    assert_equal(load_policy(tmp_path / "policy-0.95"), Policy())
    assert load_policy(tmp_path / "policy-0.95").space == Policy().space


def test_a_policy_of_a_script_comes_back_in_a_fresh_process(tmp_path):
    make = str(GOLDEN / "make_policy_files.py")
    code = (
        "import runpy, sys; policy = runpy.run_path(sys.argv[1])['GoldenPolicy']();"
        "from perdure.checkpoint import load_policy; from perdure._core import fingerprint;"
        "loaded = load_policy(sys.argv[2]);"
        "print(fingerprint(loaded).hex(), float(loaded.activation(loaded.layers[1].weight).sum()))"
    )
    save_policy(tmp_path / "policy", policy := runpy.run_path(make)["GoldenPolicy"]())
    command = [sys.executable, "-c", code, make, str(tmp_path / "policy")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
    expected = f"{fingerprint(policy).hex()} {float(policy.activation(policy.layers[1].weight).sum())}\n"
    assert done.stdout == expected, done.stderr


def test_the_frozen_file_still_loads():
    policy = runpy.run_path(str(GOLDEN / "make_policy_files.py"))["GoldenPolicy"]
    assert_equal(load_policy(GOLDEN / "policy_format_1"), policy())
    assert read_policy_header(GOLDEN / "policy_format_1").metadata == {"note": "frozen"}


def test_the_header_tells_all_without_the_class(tmp_path):
    class Forgotten(Serializable):
        weight: jax.Array

    save_policy(tmp_path / "policy", Forgotten(jnp.zeros((2, 3))), metadata={"environment": "CartPole-v1"})
    header = read_policy_header(tmp_path / "policy")
    assert header.metadata == {"environment": "CartPole-v1"}
    assert header.fingerprint == fingerprint(Forgotten(jnp.zeros((2, 3)))).hex()
    assert header.tensors == {"weight": "F32[2,3]"}
    assert header.listing()[1] == ("policy.weight", "float32[2,3]")


def test_the_safetensors_library_reads_the_same_arrays(tmp_path):
    save_policy(tmp_path / "policy", policy := Policy())
    arrays = safetensors.numpy.load_file(tmp_path / "policy.safetensors")
    assert set(arrays) == {path for path, _ in leaves_with_paths(policy)}
    np.testing.assert_array_equal(arrays["transposed"], policy.transposed)
    np.testing.assert_array_equal(arrays["weight"], policy.weight)
    assert arrays["epsilon"] == 0.1


def test_a_file_written_again_by_the_safetensors_library_is_the_same_policy(tmp_path):
    save_policy(tmp_path / "policy", Policy())
    with safetensors.safe_open(tmp_path / "policy.safetensors", "numpy") as file:
        arrays, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    safetensors.numpy.save_file(arrays, tmp_path / "again.safetensors", metadata)
    assert_equal(load_policy(tmp_path / "again"), Policy())


def test_others_can_check_the_digest(tmp_path):
    save_policy(tmp_path / "policy", Tiny(jnp.array([1.0, 2.0])))
    with safetensors.safe_open(tmp_path / "policy.safetensors", "numpy") as file:
        metadata = file.metadata()
    tensors = [["on", "BOOL", [], sha256(b"\x01")], ["weight", "F32", [2], sha256(np.float32([1, 2]).tobytes())]]
    digest = metadata.pop("digest")
    assert digest == sha256(dumps_json([metadata, tensors]))


def test_the_same_policy_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        save_policy(tmp_path / name, Policy(), metadata={"z": 1, "a": 2})
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


@pytest.mark.slow
def test_every_flipped_bit_is_an_error(tiny_file):
    content = tiny_file.read_bytes()
    for position in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[position // 8] ^= 1 << position % 8
        tiny_file.write_bytes(damaged)
        with pytest.raises(FileFormatError, match=r"tiny\.safetensors"):
            load_policy(tiny_file)


def test_every_truncation_and_extension_is_an_error(tiny_file):
    content = tiny_file.read_bytes()
    for damaged in [content[:length] for length in range(len(content))] + [content + b"\0", b"\0" + content]:
        tiny_file.write_bytes(damaged)
        with pytest.raises(FileFormatError, match=r"tiny\.safetensors"):
            load_policy(tiny_file)


def test_a_policy_that_could_not_be_loaded_is_not_saved(tmp_path):
    class Inner(eqx.Module):
        weight: jax.Array

    class Outer(Serializable):
        inner: Inner

    with pytest.raises(TypeError, match=r"policy\.inner is of the class .*Inner.*@perdure\.utils\.register"):
        save_policy(tmp_path / "policy", Outer(Inner(jnp.zeros(1))))
    assert list(tmp_path.iterdir()) == []


@register(name="tests.policy_file.Full")
class Full(Serializable):
    """Holds what its own check refuses, as a class does whose check was made stricter since the object was built."""

    weight: jax.Array

    def __check_init__(self):
        if self.weight.sum() > 1:
            raise ValueError("weight is too large")


def test_a_policy_that_its_own_class_refuses_is_not_saved(tmp_path):
    policy = eqx.tree_at(lambda policy: policy.weight, Full(jnp.ones(1)), jnp.full(1, 2.0))
    with pytest.raises(ValueError, match=r"weight is too large"):
        save_policy(tmp_path / "policy", policy)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_class_is_named(tmp_path, tiny_file):
    content = tiny_file.read_bytes()
    assert b"tests.policy_file.Tiny" in content
    tensors = {"weight": np.zeros(2, np.float32)}
    description = {"class": "Nobody", "fields": []}
    tiny_file.write_bytes(pack_tensors(tensors, forged(description, tensors)))
    with pytest.raises(FileFormatError, match=r"tiny\.safetensors: policy: No class is registered as 'Nobody'"):
        load_policy(tiny_file)


def forged(description: Any, tensors: dict[str, np.ndarray]) -> dict[str, str]:
    metadata = {
        "format": "perdure.policy/1",
        "description": dumps_json(description).decode(),
        "fingerprint": sha256(dumps_json([1, description])),
        "metadata": "{}",
        "perdure": "0",
        "jax": "0",
    }
    rows = [[name, "F32", list(array.shape), sha256(array.tobytes())] for name, array in sorted(tensors.items())]
    return {**metadata, "digest": sha256(dumps_json([metadata, rows]))}


@pytest.mark.parametrize(
    ("shape", "tensors", "complaint"),
    [
        ([3], {"weight": np.zeros(2, np.float32)}, r"policy\.weight: data is float32\[2\], the description says"),
        ([2**40], {"weight": np.zeros(2, np.float32)}, r"policy\.weight: data is float32\[2\]"),
        ([2], {}, r"policy\.weight: the file has no array 'weight'"),
        ([2], {"weight": np.zeros(2, np.float32), "more": np.zeros(2, np.float32)}, "belong to no field.*'more'"),
    ],
)
def test_tensors_that_are_not_those_described_are_refused(tiny_file, shape, tensors, complaint):
    leaf = {"leaf": "jax", "dtype": "float32", "shape": shape}
    fields = [["weight", leaf], ["on", {"default": True}]]
    description = {"class": "tests.policy_file.Tiny", "fields": fields}
    tiny_file.write_bytes(pack_tensors(tensors, forged(description, tensors)))
    with pytest.raises(FileFormatError, match=complaint):
        load_policy(tiny_file)


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        (b"[]", "not a JSON object"),
        (b'{"a":1}', "does not add up"),
        (b'{"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,4]}}', "does not add up"),
        (b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}', "begins at 4"),
        (b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', "take 8 bytes, but 4 are there"),
        (b'{"a":{"dtype":"O","shape":[1],"data_offsets":[0,4]}}', "does not add up"),
        (b'{"a":{"dtype":"F32","shape":[true],"data_offsets":[0,4]}}', "does not add up"),
        (b'{"__metadata__":{"a":1}}', "object of strings"),
        (b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', "no 'format'"),
        (b'{"a":1,"a":2}', "twice"),
    ],
)
def test_a_hostile_header_is_refused(tmp_path, header, complaint):
    (tmp_path / "x.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    for read in (load_policy, read_policy_header):
        with pytest.raises(FileFormatError, match=complaint):
            read(tmp_path / "x")


def test_a_header_longer_than_the_file_is_refused_before_it_is_read(tmp_path):
    (tmp_path / "x.safetensors").write_bytes((2**63).to_bytes(8, "little"))
    with pytest.raises(FileFormatError, match="a header of 9223372036854775808 bytes in a file of 8"):
        load_policy(tmp_path / "x")


def test_a_missing_file_is_named_with_its_suffix(tmp_path):
    for read in (load_policy, read_policy_header):
        with pytest.raises(FileNotFoundError, match=r"policy\.safetensors"):
            read(tmp_path / "policy")


def test_complex128_is_refused_by_name(tmp_path):
    with pytest.raises(TypeError, match="weight is complex128"):
        save_policy(tmp_path / "policy", Tiny(1j))
