import hashlib
import io
import os
import runpy
import struct
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure._core import FileFormatError, FingerprintError, fingerprint, leaf_to_numpy, leaves_with_paths
from perdure.utils import Serializable
from tests.support import small_modules
from tests.support.small_modules import SmallPolicy

GOLDEN = Path(__file__).parent.parent / "golden"


class MyModule(Serializable):
    a: float
    b: float

    def __init__(self, a: float, b: float):
        self.a = a
        self.b = b


def assert_equal(one, other):
    pairs = zip(leaves_with_paths(one), leaves_with_paths(other), strict=True)
    for (path, left), (_, right) in pairs:
        assert leaf_to_numpy(left).tobytes() == leaf_to_numpy(right).tobytes(), path
        assert isinstance(right, jax.Array) if isinstance(left, jax.Array) else type(left) is type(right), path


@pytest.fixture
def small_file(tmp_path):
    MyModule(0.1, 2.0).serialize(tmp_path / "small")
    return tmp_path / "small.eqx"


def run_script(*arguments, hash_seed="0"):
    compiled_as_here = {"JAX_DISABLE_MOST_OPTIMIZATIONS": str(jax.config.read("jax_disable_most_optimizations"))}
    environment = {**os.environ, **compiled_as_here, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_numbers_of_a_module_come_from_the_file(small_file):
    module = MyModule.deserialize(small_file, 0.0, 0.0)
    assert (module.a, module.b) == (0.1, 2.0)
    assert type(module.a) is float


def test_everything_comes_back_bit_for_bit(tmp_path):
    policy = SmallPolicy(key=jr.key(0))
    policy.serialize(tmp_path / "model.eqx")
    again = SmallPolicy.deserialize(tmp_path / "model.eqx", key=jr.key(1))
    assert type(again) is SmallPolicy
    assert_equal(policy, again)
    assert again.bounds == policy.bounds


def test_a_suffix_is_added_when_saving_and_loading(tmp_path):
    MyModule(1.0, 2.0).serialize(str(tmp_path / "policy-0.95"))
    assert [path.name for path in tmp_path.iterdir()] == ["policy-0.95.eqx"]
    assert MyModule.deserialize(str(tmp_path / "policy-0.95"), 0.0, 0.0).a == 1.0


def test_a_missing_file_is_named_with_its_suffix(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.eqx"):
        MyModule.deserialize(tmp_path / "absent", 0.0, 0.0)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        (dict(width=3), r"heads\[0\]\.weight: file has float32\[2,3\], this policy needs float32\[3,3\]"),
        (dict(depth=1), "heads: file has a tuple of 2, this policy has a tuple of 1"),
        (dict(activation=jax.nn.relu), "activation: file has 'tanh', this policy has 'relu'"),
        (dict(scale=0.3), r"heads\[0\]\.scale: file has 0.1, this policy has 0.3"),
        (dict(dtype=jnp.float32), r"half: file has bfloat16\[3\], this policy needs float32\[3\]"),
        (dict(high=5.0), r"bounds\.high: file has float32\[3\] all inf, this policy has float32\[3\] all 5\.0"),
    ],
)
def test_a_changed_argument_is_refused_naming_the_field_and_both_values(tmp_path, changed, line):
    SmallPolicy(key=jr.key(0)).serialize(tmp_path / "model")
    with pytest.raises(ValueError, match=line) as caught:
        SmallPolicy.deserialize(tmp_path / "model", key=jr.key(0), **changed)
    assert isinstance(caught.value, FingerprintError)


def test_another_class_of_the_same_fields_is_refused(small_file):
    class Other(MyModule):
        pass

    with pytest.raises(FingerprintError, match=r"Other: file has MyModule, this Other has .*Other"):
        Other.deserialize(small_file, 0.0, 0.0)


def test_fields_in_another_order_are_refused(tmp_path):
    def swapped(first, second):
        return type("Swapped", (Serializable,), {"__annotations__": {first: float, second: float}})

    swapped("a", "b")(1.0, 2.0).serialize(tmp_path / "model")
    with pytest.raises(FingerprintError, match="file has the fields in the order"):
        swapped("b", "a").deserialize(tmp_path / "model", 0.0, 0.0)


@pytest.mark.slow
def test_every_flipped_bit_is_an_error(small_file):
    content = small_file.read_bytes()
    for position in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[position // 8] ^= 1 << position % 8
        small_file.write_bytes(damaged)
        with pytest.raises(FileFormatError):
            MyModule.deserialize(small_file, 0.0, 0.0)


def test_every_truncation_and_extension_is_an_error(small_file):
    content = small_file.read_bytes()
    for damaged in [content[:length] for length in range(len(content))] + [content + b"\0", b"\0" + content]:
        small_file.write_bytes(damaged)
        with pytest.raises(FileFormatError, match=r"small\.eqx"):
            MyModule.deserialize(small_file, 0.0, 0.0)


def forge(path, change):
    """Change the content of a file and give it a digest that fits."""
    content = change(path.read_bytes()[:-32])
    path.write_bytes(content + hashlib.sha256(content).digest())


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda c: c[:-12] + struct.pack("<I", 99) + c[-8:], "format 99 is unknown"),
        (lambda c: c[:-20] + struct.pack("<Q", 2**63) + c[-12:], "description claims"),
        (lambda c: bytes(32) + c[32:], "fingerprint is not that of the description"),
        (lambda c: c.replace(b"'shape': (), }    ", b"'shape': (2**9,)}", 1), "array"),
        (lambda c: c.replace(b"'shape': (), }     ", b"'shape': (99999,)} ", 1), "array has the header"),
        (lambda c: c.replace(b"'<f8'", b"'|O8'", 1), "array has the header .*O8"),
        (lambda c: c[:32] + c[32:168] + c[32:], "follow the last array"),
    ],
)
def test_a_forged_file_is_refused(small_file, change, complaint):
    before = small_file.read_bytes()
    forge(small_file, change)
    assert small_file.read_bytes() != before
    with pytest.raises(FileFormatError, match=complaint):
        MyModule.deserialize(small_file, 0.0, 0.0)


def test_files_of_others_are_recognised(tmp_path):
    eqx.tree_serialise_leaves(tmp_path / "plain.eqx", MyModule(1.0, 2.0))
    with pytest.raises(FileFormatError, match="tree_serialise_leaves"):
        MyModule.deserialize(tmp_path / "plain", 0.0, 0.0)
    (tmp_path / "lerax.eqx").write_bytes(bytes(32) + (tmp_path / "plain.eqx").read_bytes())
    with pytest.raises(FileFormatError, match="Lerax"):
        MyModule.deserialize(tmp_path / "lerax", 0.0, 0.0)


def test_equinox_reads_the_leaves_after_the_fingerprint(tmp_path):
    saved, other = (eqx.nn.MLP(2, 1, 3, 1, key=jr.key(seed)) for seed in (0, 1))
    holder = type("MLPHolder", (Serializable,), {"__annotations__": {"mlp": eqx.nn.MLP}})
    holder(saved).serialize(tmp_path / "model")
    leaves = io.BytesIO((tmp_path / "model.eqx").read_bytes()[32:])
    assert_equal(eqx.tree_deserialise_leaves(leaves, other), saved)


def test_loading_computes_nothing(tmp_path):
    class Careful(Serializable):
        weight: jax.Array

        def __init__(self, key: jax.Array):
            assert isinstance(key, jax.core.Tracer) or not loading
            self.weight = jr.normal(key, (2,))

    loading = False
    saved = Careful(jr.key(0))
    saved.serialize(tmp_path / "model")
    loading = True
    assert (Careful.deserialize(tmp_path / "model", jr.key(1)).weight == saved.weight).all()


def test_a_constructor_that_looks_at_values_loads_too(tmp_path):
    class Looking(Serializable):
        weight: jax.Array
        size: int = eqx.field(static=True)

        def __init__(self, sizes: jax.Array):
            self.size = int(sizes.max())
            self.weight = jnp.zeros(self.size)

    Looking(jnp.array([1, 3])).serialize(tmp_path / "model")
    assert Looking.deserialize(tmp_path / "model", jnp.array([3, 2])).size == 3


def test_an_error_of_the_constructor_is_the_one_that_is_raised(small_file):
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'b'"):
        MyModule.deserialize(small_file, 0.0)


def test_what_cannot_be_saved_leaves_the_old_file(tmp_path):
    SmallPolicy(key=jr.key(0)).serialize(tmp_path / "model")
    before = (tmp_path / "model.eqx").read_bytes()
    with pytest.raises(TypeError, match=r"policy\.activation.*perdure\.utils\.register"):
        SmallPolicy(key=jr.key(0), activation=lambda x: x).serialize(tmp_path / "model")
    assert (tmp_path / "model.eqx").read_bytes() == before


def test_a_file_of_a_script_loads_where_the_class_is_imported(tmp_path):
    run_script(small_modules.__file__, str(tmp_path / "model"))
    loaded = SmallPolicy.deserialize(tmp_path / "model", key=jr.key(1))
    assert_equal(loaded, SmallPolicy(key=jr.key(0)))


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_a_fresh_process_has_the_same_fingerprint(hash_seed):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from tests.support.small_modules import *;"
        "from perdure._core import fingerprint;"
        "print(fingerprint(SmallPolicy(key=jr.key(5))).hex())"
    )
    printed = run_script("-c", code, str(Path(__file__).parents[2]), hash_seed=hash_seed)
    assert printed.strip() == fingerprint(SmallPolicy(key=jr.key(0))).hex()


def test_the_frozen_file_still_loads_and_has_its_fingerprint():
    policy = runpy.run_path(str(GOLDEN / "make_policy_files.py"))["GoldenPolicy"]
    frozen = (GOLDEN / "policy_format_1.eqx").read_bytes()
    assert fingerprint(policy()).hex() == frozen[:32].hex() == GOLDEN_FINGERPRINT
    loaded = policy.deserialize(GOLDEN / "policy_format_1.eqx")
    assert_equal(loaded, policy())
    assert loaded.table["a.b"].dtype == np.int64


GOLDEN_FINGERPRINT = "bce5af4eb7cb355b4b1c7a8315bd38514dc08802edc318ff9de7069b1f2e429f"
