"""Models and statistics made to do harm: nothing in them is run, and each is refused with a reason."""

import pickle
import stat
import struct
import zipfile

import numpy as np
import pytest

from perdure._core import FileFormatError
from perdure.importer import read_sb3
from perdure.importer._pickle import Call, Global, Persistent
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
    "a Dict for a Box": lambda: vecnormalize(
        observation_space=Call(Global("gym.spaces.dict", "Dict"), (), state={"spaces": {"a": box()}}),
        obs_rms={"a": statistics()},
    ),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_statistics_that_do_not_fit_are_refused(name, tmp_path):
    (tmp_path / "vn.pkl").write_bytes(dump(STATISTICS[name]()))
    with pytest.raises(FileFormatError):
        imported(model_zip(), tmp_path, vecnormalize=tmp_path / "vn.pkl")


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
