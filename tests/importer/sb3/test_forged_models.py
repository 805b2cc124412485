"""Models and statistics made to do harm: nothing in them is run, and each is refused with a reason."""

import json
import pickle
import stat
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from perdure._core import FileFormatError
from perdure.importer import read_sb3, read_tensors
from perdure.importer._pickle import Call, Global, Persistent
from perdure.importer._zip import SafeZip
from tests.support.forge import (
    FLOATS,
    array,
    box,
    discrete,
    dtype,
    dump,
    fields,
    model_zip,
    opcodes,
    pickled,
    state_dict,
    statistics,
    storages,
    tensor,
    torch_legacy,
    torch_zip,
    vecnormalize,
    zipped,
)

pytestmark = pytest.mark.usefixtures("nothing_happens")


def imported(content, tmp_path, **settings):
    (tmp_path / "model.zip").write_bytes(content)
    return read_sb3(tmp_path / "model.zip", **settings)


COMMAND = "touch canary"
SYSTEM = Global("os", "system")
PAYLOADS = {
    "os.system": dump(Call(SYSTEM, (COMMAND,))),
    "posix.system": dump(Call(Global("posix", "system"), (COMMAND,))),
    "subprocess": dump(Call(Global("subprocess", "Popen"), (["touch", "canary"],))),
    "eval": dump(Call(Global("builtins", "eval"), ("__import__('os').system('touch canary')",))),
    "exec": dump(Call(Global("builtins", "exec"), ("open('canary', 'w')",))),
    "open": dump(Call(Global("io", "open"), ("canary", "w"))),
    "getattr": dump(Call(Call(Global("builtins", "getattr"), (Global("os", "path"), "system")), (COMMAND,))),
    "import": dump(Call(Global("importlib", "import_module"), ("antigravity",))),
    "nested pickle": dump(Call(Global("pickle", "loads"), (pickle.dumps(print),))),
    "cloudpickle": dump(Call(Global("cloudpickle.cloudpickle", "_make_function"), (b"code", {}, None, None, None))),
    "torch.load": dump(Call(Global("torch", "load"), ("canary",))),
    "numpy.load": dump(Call(Global("numpy", "load"), ("canary",))),
    "state": dump(Call(Global("os", "_wrap_close"), (), state={"__setstate__": SYSTEM, "x": COMMAND})),
    "instance": b"\x80\x02(" + opcodes(COMMAND) + b"ios\nsystem\n.",
    "object": b"\x80\x02(" + opcodes(SYSTEM) + opcodes(COMMAND) + b"o.",
    "new object": b"\x80\x02" + opcodes(SYSTEM) + opcodes((COMMAND,)) + b"\x81.",
    "new object with keywords": b"\x80\x04" + opcodes(SYSTEM) + opcodes((COMMAND,)) + b"}\x92.",
    "stack global": b"\x80\x04" + opcodes("os") + opcodes("system") + b"\x93" + opcodes((COMMAND,)) + b"R.",
    "extension": b"\x80\x02\x82\x01.",
    "persistent": dump(Persistent(Call(SYSTEM, (COMMAND,)))),
}


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("field", ["policy_class", "policy_kwargs", "observation_space", "action_space"])
def test_a_field_that_would_run_something_is_refused(field, payload, tmp_path):
    with pytest.raises(FileFormatError, match=r"model\.zip: "):
        imported(model_zip(fields(**{field: pickled(PAYLOADS[payload])})), tmp_path)


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("place", ["policy.pth", "legacy", "tree", "statistics"])
def test_weights_and_statistics_that_would_run_something_are_refused(place, payload, tmp_path):
    content = PAYLOADS[payload]
    if place == "statistics":
        (tmp_path / "vn.pkl").write_bytes(content)
        with pytest.raises(FileFormatError, match=r"vn\.pkl: "):
            imported(model_zip(), tmp_path, vecnormalize=tmp_path / "vn.pkl")
        return
    weights = {
        "policy.pth": content,
        "legacy": dump(0x1950A86A20F9469CFC6C) + dump(1001) + dump({}) + content + dump([]),
        "tree": torch_zip(content),
    }[place]
    with pytest.raises(FileFormatError, match=r"model\.zip: "):
        imported(model_zip(weights=weights), tmp_path)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_field_that_is_not_needed_is_not_even_read(payload, tmp_path):
    content = model_zip(fields(lr_schedule=pickled(PAYLOADS[payload]), _last_obs=pickled(PAYLOADS[payload])))
    assert imported(content, tmp_path).report.algorithm == "PPO"


EVIL = Call(SYSTEM, (COMMAND,))
INNER = {
    "a bound": lambda: fields(observation_space=pickled(box(low=EVIL))),
    "a dtype": lambda: fields(observation_space=pickled(box(dtype=EVIL))),
    "a dtype of objects": lambda: fields(observation_space=pickled(box(low=Call(
        Global("numpy.core.multiarray", "_reconstruct"), (Global("numpy", "ndarray"), (0,), b"b"),
        state=(1, (3,), dtype("O8"), False, [EVIL, EVIL, EVIL]))))),
    "a shape": lambda: fields(observation_space=pickled(box(_shape=EVIL))),
    "a negative shape": lambda: fields(observation_space=pickled(box(_shape=(-3,)))),
    "a number": lambda: fields(action_space=pickled(discrete(EVIL))),
    "an endless number": lambda: fields(action_space=pickled(discrete(10**4000))),
    "an activation": lambda: fields(policy_kwargs=pickled({"activation_fn": SYSTEM})),
    "an activation that is called": lambda: fields(policy_kwargs=pickled({"activation_fn": EVIL})),
    "a partial of one": lambda: fields(policy_kwargs=pickled({"activation_fn": Call(
        Global("functools", "partial"), (SYSTEM,), state=(SYSTEM, (COMMAND,), {}, None))})),
    "an extractor": lambda: fields(policy_kwargs=pickled({"features_extractor_class": SYSTEM})),
    "a policy class that is like one of torch": lambda: fields(policy_class=pickled(Global("torch.nn", "ReLU"))),
    "another space": lambda: fields(observation_space=pickled(Call(Global("my.spaces.box", "Box"), (), state={}))),
    "a space in a space": lambda: fields(observation_space=pickled(Call(
        Global("gymnasium.spaces.dict", "Dict"), (), state={"spaces": {"a": Call(
            Global("gymnasium.spaces.dict", "Dict"), (), state={"spaces": {"b": box()}})}}))),
    "a Dict of itself": lambda: fields(observation_space=pickled(
        b"\x80\x02cgymnasium.spaces.dict\nDict\n)\x81q\x00}(" + opcodes("spaces") + b"}(" + opcodes("a") + b"h\x00uub.")),
    "numbers that are not": lambda: fields(observation_space=pickled(box(low=array([np.nan] * 3)))),
    "bytes that are missing": lambda: fields(observation_space=pickled(box(low=Call(
        Global("numpy.core.multiarray", "_reconstruct"), (Global("numpy", "ndarray"), (0,), b"b"),
        state=(1, (2**40,), dtype("f4"), False, b"1234"))))),
}  # fmt: skip


@pytest.mark.parametrize("name", INNER)
def test_what_stands_inside_of_a_field_is_refused_where_it_is_not_known(name, tmp_path):
    with pytest.raises(FileFormatError, match=r"model\.zip: "):
        imported(model_zip(INNER[name]()), tmp_path)


def with_tensor(**changes):
    return torch_zip(state_dict(**{"action_net.weight": tensor("4", (2, 4), **changes)}))


TENSORS = {
    "a stride of zero": lambda: with_tensor(size=(2**20, 2**20), stride=(0, 0)),
    "a view past the end": lambda: with_tensor(offset=4),
    "a view before the beginning": lambda: with_tensor(offset=-1),
    "a negative stride": lambda: with_tensor(stride=(-4, 1)),
    "too few strides": lambda: with_tensor(stride=(1,)),
    "a count that is wrong": lambda: with_tensor(storage=Persistent(("storage", FLOATS, "4", "cpu", 2**40))),
    "a storage that is missing": lambda: with_tensor(storage=Persistent(("storage", FLOATS, "99", "cpu", 8))),
    "a storage outside": lambda: with_tensor(storage=Persistent(("storage", FLOATS, "../../data", "cpu", 8))),
    "a storage of another kind": lambda: with_tensor(
        storage=Persistent(("storage", Global("os", "system"), "4", "cpu", 8))
    ),
    "a storage that is none": lambda: with_tensor(storage=EVIL),
    "a shape that is none": lambda: with_tensor(size=EVIL),
    "tensors that repeat one storage": lambda: torch_zip(
        {f"x{i}": tensor("0", (2**18,)) for i in range(2000)}, {"0": bytes(2**20)}
    ),
    "storages that grow": lambda: zipped(
        {"a/data.pkl": dump({f"x{i}": tensor(str(i), (2**18,), size=(1,), stride=(1,)) for i in range(40)})}
        | {f"a/data/{i}": bytes(2**20) for i in range(40)},
        zipfile.ZIP_DEFLATED,
    ),
    "an unknown tensor": lambda: torch_zip(state_dict(extra=tensor("4", (2, 4)))),
    "a missing tensor": lambda: torch_zip({"action_net.bias": tensor("5", (2,))}),
    "weights that are NaN": lambda: torch_zip(None, storages() | {"4": np.full(8, np.nan, "<f4").tobytes()}),
    "another shape": lambda: torch_zip(state_dict(**{"action_net.weight": tensor("4", (4, 2))})),
    "a legacy file that ends early": lambda: torch_legacy()[:-20],
    "a legacy file with another magic number": lambda: dump(1) + torch_legacy(),
    "nothing": lambda: b"",
    "two trees": lambda: zipped({"a/data.pkl": dump({}), "b/data.pkl": dump({})}),
    "big-endian numbers": lambda: zipped({"a/data.pkl": dump({}), "a/byteorder": b"big"}),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_leave_their_storage_or_do_not_fit_are_refused(name, tmp_path):
    with pytest.raises(FileFormatError, match=r"model\.zip: "):
        imported(model_zip(weights=TENSORS[name]()), tmp_path)


def link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def encrypted():
    content = bytearray(model_zip())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    return bytes(content)


def twice():
    with pytest.warns(UserWarning, match="Duplicate name"):
        return zipped([("data", b"{}"), ("policy.pth", torch_zip()), ("data", b"{}")])


def lying_size():
    """A member whose size is understated: the directory says 10 bytes, the stream has more."""
    content = bytearray(zipped({"data": bytes(2**20), "policy.pth": b""}, zipfile.ZIP_DEFLATED))
    at = content.index(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", 10)
    return bytes(content)


def with_sizes(content, size):
    """A zip of one member whose headers both say `size` for what it holds."""
    changed = bytearray(content)
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = changed.index(signature) + offset
        changed[at : at + 4] = struct.pack("<I", size)
    return bytes(changed)


METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("content", [b"", b"x", np.random.default_rng(0).bytes(100_000), b"abc" * 30_000])
def test_members_of_every_method_are_read(content, method):
    assert SafeZip(zipped({"data": content}, method)).read("data") == content


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [0, 1, 99_999, 100_001, 900_000])
def test_a_member_that_says_another_size_is_refused(size, method):
    archive = SafeZip(with_sizes(zipped({"data": np.random.default_rng(0).bytes(100_000)}, method), size))
    with pytest.raises(FileFormatError, match=f"says {size} bytes"):
        archive.read("data")


@pytest.mark.parametrize("method", METHODS[1:])
def test_a_bomb_is_stopped_at_the_bytes_that_it_says(method):
    """2^28 bytes in a few kilobytes, said to be fewer than the limit of the ratio."""
    archive = SafeZip(with_sizes(zipped({"data": bytes(2**28)}, method), 900_000))
    tracemalloc.start()
    with pytest.raises(FileFormatError, match="says 900000 bytes, but there are more"):
        archive.read("data")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24


def test_a_bomb_in_a_zip_in_a_zip_counts_from_the_outer_one(tmp_path):
    """24 MB of zeros whose inner zip is stored, as torch does, and packed by the outer one to a thousandth."""
    tree = {f"x{i}": tensor(str(i), (2**18,)) for i in range(24)}
    inner = torch_zip(tree, {str(i): np.ones(2**18, "<f4").tobytes() for i in range(24)})
    content = zipped({"data": json.dumps(fields()), "policy.pth": inner}, zipfile.ZIP_LZMA)
    with pytest.raises(FileFormatError, match=r"model\.zip: "):
        imported(content, tmp_path)
    with pytest.raises(FileFormatError, match="16 times as large as the file"):
        read_tensors(inner, packed_size=2**18)
    assert len(read_tensors(inner)) == 24


def doubled(times):
    """A pickle of a tuple of twice the tuple before: 2^times leaves in a few bytes."""
    return b"\x80\x02)" + b"2\x86" * times


def deep(times):
    """A pickle of a call in the place of the function of a call ..."""
    return b"\x80\x02" + opcodes(SYSTEM) + b")R" * times


SHARED = doubled(40)[2:]
MESSAGES = {
    "a count nested by doubling": lambda: model_zip(
        weights=torch_zip(
            b"\x80\x02}(" + opcodes("w") + opcodes(Global("torch._utils", "_rebuild_tensor_v2")) + b"("
            + b"(" + opcodes("storage") + opcodes(FLOATS) + opcodes("0") + opcodes("cpu") + SHARED + b"tQ"
            + opcodes(0) + opcodes((2, 4)) + opcodes((4, 1)) + b"tRu."
        )
    ),
    "calls in calls": lambda: model_zip(fields(observation_space=pickled(deep(100_000) + b"."))),
    "a class name nested by doubling": lambda: model_zip(fields(policy_class=pickled(
        b"\x80\x02" + opcodes(Global("cloudpickle.cloudpickle", "_make_skeleton_class")) + b"(N" + SHARED + b"N}tR."))),
    "a module nested by doubling": lambda: model_zip(fields(policy_class=pickled(
        b"\x80\x02" + opcodes(Global("cloudpickle.cloudpickle", "_make_skeleton_class")) + b"(N" + opcodes("A") + b"N}("
        + opcodes("__module__") + SHARED + b"utR."))),
    "a function nested by doubling": lambda: model_zip(fields(policy_kwargs=pickled(
        b"\x80\x02}(" + opcodes("activation_fn") + opcodes(Global("jax.custom", "jvp")) + b")R}("
        + opcodes("__module__") + SHARED + opcodes("__qualname__") + opcodes("f") + b"ubu."))),
    "a shape of endless numbers": lambda: model_zip(fields(observation_space=pickled(box(_shape=(10**4000,))))),
    "a choice among endless many": lambda: model_zip(fields(action_space=pickled(discrete(2**4000)))),
    "a tensor of an endless size": lambda: model_zip(weights=with_tensor(size=(10**4000, 1))),
    "a storage of an endless size": lambda: model_zip(
        weights=with_tensor(storage=Persistent(("storage", FLOATS, "4", "cpu", 10**4000)))
    ),
    "a long name of a tensor": lambda: model_zip(weights=torch_zip(state_dict(**{"x" * 10**6: tensor("4", (2, 4))}))),
    "a long name of a class": lambda: model_zip(fields(policy_class=pickled(Global("m." * 10**5, "C" * 10**6)))),
}  # fmt: skip


@pytest.mark.parametrize("name", MESSAGES)
def test_a_refusal_is_short_and_soon_whatever_the_file_holds(name, tmp_path):
    with pytest.raises(FileFormatError, match=r"model\.zip: ") as refusal:
        imported(MESSAGES[name](), tmp_path)
    assert len(str(refusal.value)) < 1500


def test_a_report_is_short_too(tmp_path):
    report = imported(model_zip(**{"x" * 60_000: b"x"}), tmp_path).report
    assert report.dropped[0].startswith("xxx")
    assert len(report.dropped[0]) == 1000


OTHERS = {
    "Stable-Baselines 2": (lambda: zipped({"data": b"{}", "parameters": b"", "parameter_list": b"[]"}), "Baselines 2.*Tens"),
    "weights alone": (torch_zip, "a file of torch.save.*Give the zip that model.save wrote"),
    "a folder that was zipped": (lambda: zipped({"ppo/data": b"{}", "ppo/policy.pth": b""}), "a folder 'ppo' with a model"),
    "a pointer": (
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 143586\n", "Git LFS.*git lfs pull"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_given_in_the_place_of_a_model_is_named(name, tmp_path):
    make, message = OTHERS[name]
    with pytest.raises(FileFormatError, match=rf"model\.zip: .*{message}"):
        imported(make(), tmp_path)


def test_an_unzipped_model_and_a_name_without_zip_are_named(tmp_path):
    (tmp_path / "ppo").mkdir()
    (tmp_path / "ppo" / "policy.pth").write_bytes(torch_zip())
    with pytest.raises(FileFormatError, match=r"ppo: an unzipped model.*zip -r"):
        read_sb3(tmp_path / "ppo")
    (tmp_path / "dqn.zip").write_bytes(model_zip())
    with pytest.raises(FileNotFoundError, match=r"dqn\.zip' is there"):
        read_sb3(tmp_path / "dqn")


ZIPS = {
    "no zip": lambda: b"PK is not enough",
    "an empty file": lambda: b"",
    "a zip that ends early": lambda: model_zip()[:-30],
    "an empty zip": lambda: zipped({}),
    "no weights": lambda: zipped({"data": b"{}"}),
    "a name twice": twice,
    "a way out": lambda: model_zip(**{"../../canary": b"x"}),
    "a way out for Windows": lambda: model_zip(**{"..\\canary": b"x"}),
    "an absolute name": lambda: model_zip(**{"/tmp/canary": b"x"}),
    "a drive": lambda: model_zip(**{"C:/canary": b"x"}),
    "a link": lambda: zipped([(link("data"), b"/etc/passwd"), ("policy.pth", torch_zip())]),
    "a password": encrypted,
    "a bomb": lambda: zipped({"data": bytes(2**26), "policy.pth": b""}, zipfile.ZIP_DEFLATED),
    "a bomb of bzip2": lambda: zipped({"data": bytes(2**26), "policy.pth": b""}, zipfile.ZIP_BZIP2),
    "a bomb in the weights": lambda: model_zip(weights=zipped({"a/data.pkl": bytes(2**26)}, zipfile.ZIP_DEFLATED)),
    "a size that is not true": lying_size,
    "too many members": lambda: zipped({str(i): b"" for i in range(10_001)}),
    "data that is no JSON": lambda: model_zip(b"{'a': 1}"),
    "data that is a list": lambda: model_zip(b"[1, 2]"),
    "data with a key twice": lambda: model_zip(b'{"a": 1, "a": 2}'),
    "data nested deep": lambda: model_zip(b"[" * 100_000 + b"]" * 100_000),
    "data with an endless number": lambda: model_zip(b'{"a": ' + b"9" * 100_000 + b"}"),
    "a pickle that is no base64": lambda: model_zip(fields(policy_class={":serialized:": "!!!"})),
    "a pickle that is no text": lambda: model_zip(fields(policy_class={":serialized:": [1, 2]})),
    "no policy class": lambda: model_zip({}),
    "a policy class of text": lambda: model_zip(fields(policy_class="os.system")),
    "an unknown policy class": lambda: model_zip(fields(policy_class=pickled(Global("my.code", "MyPolicy")))),
}


@pytest.mark.parametrize("name", ZIPS)
def test_zips_that_are_damaged_or_lie_are_refused(name, tmp_path):
    with pytest.raises(FileFormatError, match=r"model\.zip: "):
        imported(ZIPS[name](), tmp_path)


STATISTICS = {
    "another class": lambda: vecnormalize().state,
    "statistics of another class": lambda: vecnormalize(obs_rms=EVIL),
    "a mean that is called": lambda: vecnormalize(obs_rms=statistics(mean=EVIL)),
    "a mean without its state": lambda: vecnormalize(
        obs_rms=statistics(mean=Call(Global("numpy.core.multiarray", "_reconstruct"), ()))
    ),
    "a mean of text": lambda: vecnormalize(obs_rms=statistics(mean="1")),
    "a variance below zero": lambda: vecnormalize(obs_rms=statistics(var=array([-1.0] * 3, "f8"))),
    "a mean that is no number": lambda: vecnormalize(obs_rms=statistics(mean=array([np.inf] * 3, "f8"))),
    "another shape": lambda: vecnormalize(obs_rms=statistics(4)),
    "a clip that is called": lambda: vecnormalize(clip_obs=EVIL),
    "no epsilon": lambda: vecnormalize(epsilon=None),
    "an epsilon of zero": lambda: vecnormalize(epsilon=0.0),
    "an epsilon below zero": lambda: vecnormalize(epsilon=-1e-8),
    "an infinite epsilon": lambda: vecnormalize(epsilon=float("inf")),
    "an epsilon that no float holds": lambda: vecnormalize(epsilon=10**4000),
    "a clip that is no number": lambda: vecnormalize(clip_obs=float("nan")),
    "a clip below zero": lambda: vecnormalize(clip_obs=-10.0),
    "observations left alone": lambda: vecnormalize(norm_obs=False),
    "statistics of one number": lambda: vecnormalize(obs_rms=statistics(1)),
    "statistics and space of another model": lambda: vecnormalize(observation_space=box(4), obs_rms=statistics(4)),
    "a Dict for a Box": lambda: vecnormalize(
        observation_space=Call(Global("gym.spaces.dict", "Dict"), (), state={"spaces": {"a": box()}}),
        obs_rms={"a": statistics()},
    ),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_statistics_that_do_not_fit_are_refused(name, tmp_path):
    (tmp_path / "vn.pkl").write_bytes(dump(STATISTICS[name]()))
    with pytest.raises(FileFormatError) as refusal:
        imported(model_zip(), tmp_path, vecnormalize=tmp_path / "vn.pkl")
    assert len(str(refusal.value)) < 1500


def goals(*names):
    return Call(Global("gym.spaces.dict", "Dict"), (), state={"spaces": {name: box() for name in names}})


def test_statistics_of_keys_that_the_model_does_not_observe_are_refused(tmp_path):
    data = fields(observation_space=pickled(goals("a")))
    node = vecnormalize(observation_space=goals("b"), obs_rms={"b": statistics()})
    (tmp_path / "vn.pkl").write_bytes(dump(node))
    with pytest.raises(
        FileFormatError, match=r"statistics for 'b', but the model observes a\. Is it the file of another"
    ):
        imported(model_zip(data), tmp_path, vecnormalize=tmp_path / "vn.pkl")


CONFIGS = {
    "os.system": "!!python/object/apply:os.system ['touch canary']",
    "a module": "!!python/module:os",
    "a name": "normalize: !!python/name:os.system",
    "a new object": "!!python/object/new:subprocess.Popen [['touch', 'canary']]",
    "an OrderedDict of a call": "!!python/object/apply:collections.OrderedDict\n- !!python/object/apply:os.system [x]",
    "an OrderedDict of text": "!!python/object/apply:collections.OrderedDict\n- [text]",
    "a list": "- 1\n- 2",
    "anchors that double": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
    "no YAML": "a: [1, 2",
    "nested deep": "[" * 20_000,
    "an endless file": "a: 1\n" * 2**19,
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_that_is_more_than_settings_is_refused(name, tmp_path):
    pytest.importorskip("yaml", reason="needs the extra sb3")
    (tmp_path / "config.yml").write_text(CONFIGS[name])
    with pytest.raises(FileFormatError, match=r"config\.yml: "):
        imported(model_zip(), tmp_path, config=tmp_path / "config.yml")


def test_text_in_a_config_that_looks_like_python_stays_text(tmp_path):
    pytest.importorskip("yaml", reason="needs the extra sb3")
    text = (
        "policy_kwargs: \"__import__('os').system('touch canary')\"\nnormalize: \"dict(norm_obs=open('canary','w'))\"\n"
    )
    (tmp_path / "config.yml").write_text(text)
    report = imported(model_zip(), tmp_path, config=tmp_path / "config.yml").report
    assert any("vecnormalize= was not given" in note for note in report.notes)
