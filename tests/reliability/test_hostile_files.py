"""Files made to hurt: refused in little time and memory, and nothing is run, imported, opened elsewhere or written."""

import hashlib
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jax import random as jr

from perdure._core import describe, dumps_json, sha256
from perdure.checkpoint import save_policy
from perdure.checkpoint._directory import METADATA, MODEL, write
from perdure.env import TimeLimit
from perdure.env.classic_control import CartPole
from perdure.policy import MLPActorCriticPolicy
from tests.support.reliability_kit import (
    FULL,
    Tiny,
    copy_of,
    entry_of,
    put as put_all,
    raw_tensors,
    resign,
    signed_eqx,
    signed_policy,
)
from tests.support.shared_files import ROOT

pytestmark = pytest.mark.reliability
MIB = 2**20


class Reader:
    """`hostile_reader.py` in a process of its own, and the folder that it may read."""

    def __init__(self, small: Any, folder: Path):
        self.folder = folder
        write(folder / "valid", small, config=False, force=False)
        save_policy(folder / "valid", Tiny(3))
        Tiny(3).serialize(folder / "valid")
        MLPActorCriticPolicy(TimeLimit(CartPole(), 20), key=jr.key(0)).serialize(folder / "large")
        (folder / "valid.json").write_text('{"a":[1,2.5,"\\u00e9"]}')
        command = [sys.executable, "-m", "tests.support.hostile_reader", str(folder)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        first = self.answer()
        assert {how: (told["error"], told["done"]) for how, told in first.items()} == {h: (None, []) for h in first}

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def __call__(self, how: str, path: Path) -> dict[str, Any]:
        assert self.process.stdin is not None
        print(json.dumps([how, str(path)]), file=self.process.stdin, flush=True)
        return self.answer()


@pytest.fixture(scope="module")
def reader(small, tmp_path_factory):
    reader = Reader(small, tmp_path_factory.mktemp("hostile"))
    yield reader
    reader.process.communicate()


def texts() -> dict[str, bytes]:
    """JSON that is deep, long, wide, ambiguous or none."""
    many = ",".join(f'"{i}":0' for i in range(130_000))
    return {
        "deep lists": b"[" * 100_000 + b"]" * 100_000,
        "deep lists without end": b"[" * 8_000_000,
        "deep objects": b'{"a":' * 100_000 + b"0" + b"}" * 100_000,
        "321 deep": b"[" * 321 + b"]" * 321,
        "only closing brackets": b"]" * 16_000_000,
        "deep behind a quotation mark": b'"\\"' + b"[" * 100_000,
        "a string without end": b'"' + b'\\"' * 7_000_000,
        "strings without end": b'"\\' * 2_000_000,
        "a million strings": b"[" + b'"",' * 1_000_000 + b"0]",
        "five million strings": b"[" + b'"",' * 5_000_000 + b"0]",
        "five million lists": b"[" + b"[]," * 5_000_000 + b"0]",
        "five million objects": b"[" + b"{}," * 5_000_000 + b"0]",
        "as many objects as are read": b"[" + b"{}," * 131_000 + b"0",
        "four million floats": b"[" + b"0.1," * 4_000_000 + b"0]",
        "a long list without end": b"[" + b"0.1," * 262_000,
        "a long string": b'"' + b"a" * 15_000_000,
        "as many escapes as are read": b'"' + b"\\n" * 2_000_000,
        "a long string of escapes": b'"' + b"\\n" * 8_000_000,
        "keys that are many, the last twice": f'{{{many},"129999":1}}'.encode(),
        "keys that are many, the first twice": f'{{{many},"0":1}}'.encode(),
        "a key twice": b'{"a":1,"a":1}',
        "a key twice, far down": b'{"a":[{"b":{"c":0,"c":0}}]}',
        "a key twice by an escape": b'{"a":1,"\\u0061":1}',
        "an integer of a hundred thousand digits": b"9" * 100_000,
        "an integer of 21 digits": b"9" * 21,
        "a negative one": b"-" + b"9" * 100_000,
        "a float of a million digits": b"0." + b"1" * 1_000_000,
        "a float beyond float64": b"1e999",
        "a negative float beyond": b"-1e999",
        "a huge exponent": b"1e" + b"9" * 60,
        "NaN": b"[NaN]",
        "Infinity": b"[Infinity]",
        "-Infinity": b'{"a":-Infinity}',
        "half a surrogate pair": b'"\\ud800"',
        "the other half": b'{"\\udfff":0}',
        "Latin-1": b'"\xe9"',
        "UTF-16": '{"a":1}'.encode("utf-16"),
        "overlong UTF-8": b'"\xc0\xaf"',
        "a byte order mark": b"\xef\xbb\xbf{}",
        "NUL": b"\0" * 1_000_000,
        "single quotes": b"{'a': 1}",
        "a comment": b"{} // no",
        "nothing": b"",
        "spaces": b" " * 8_000_000,
        "17 MiB": b" " * (17 * MIB) + b"{}",
        "a Python expression": b"__import__('os').system('true')",
        "YAML": b"!!python/object/apply:os.system ['true']",
        "a pickle": b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x94\x85\x94R\x94.",
    }


def header(entries: dict[str, Any] | bytes, data: bytes = bytes(4)) -> bytes:
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text + data


def tensor(shape: list[Any], offsets: list[Any], dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def headers() -> dict[str, bytes]:
    """safetensors files whose header lies."""
    wide = {f"t{i}": tensor([0], [0, 0]) for i in range(28_000)}
    return {
        "a header of 2^63 bytes": (2**63).to_bytes(8, "little"),
        "a header of 2^64 - 1 bytes": b"\xff" * 8 + b"{}",
        "a header longer than the file": (100).to_bytes(8, "little") + b"{}",
        "a header without length": b"\2\0",
        "a shape beyond memory": header({"a": tensor([2**62], [0, 4])}),
        "a shape whose product overflows": header({"a": tensor([2**32, 2**32], [0, 0])}),
        "a shape of many ones": header({"a": tensor([1] * 100_000, [0, 4])}),
        "a negative shape": header({"a": tensor([-1, -1], [0, 4])}),
        "a shape of true": header({"a": tensor([True], [0, 4])}),
        "a shape of floats": header({"a": tensor([1.0], [0, 4])}),
        "a shape of text": header({"a": tensor(["1"], [0, 4])}),
        "zero times a large number": header({"a": tensor([0, 2**62], [0, 0])}, b""),
        "an unknown dtype": header({"a": tensor([1], [0, 4], "O")}),
        "a dtype that is a list": header({"a": tensor([1], [0, 4], ["F32"])}),
        "overlapping tensors": header({"a": tensor([1], [0, 4]), "b": tensor([1], [0, 4])}),
        "half overlapping tensors": header({"a": tensor([2], [0, 8]), "b": tensor([2], [4, 12])}, bytes(12)),
        "a gap": header({"a": tensor([1], [0, 4]), "b": tensor([1], [8, 12])}, bytes(12)),
        "offsets that go back": header({"a": tensor([1], [4, 0])}),
        "negative offsets": header({"a": tensor([1], [-4, 0])}),
        "offsets beyond the file": header({"a": tensor([1000], [0, 4000])}),
        "bytes after the last tensor": header({"a": tensor([1], [0, 4])}, bytes(8)),
        "one more member": header({"a": {**tensor([1], [0, 4]), "x": 0}}),
        "a tensor twice": header(b'{"a":1,"a":2}'),
        "metadata that is no text": header({"__metadata__": {"a": 1}}, b""),
        "metadata that is a list": header({"__metadata__": []}, b""),
        "many empty tensors": header(wide, b""),
        "a list": header(b"[]"),
        "a header of spaces": header(b" " * 16_000_000),
        "a header of brackets": header(b"[" * 30_000_000),
    }


def leaf(shape: list[Any], dtype: str = "float32", kind: str = "numpy") -> dict[str, Any]:
    return {"leaf": kind, "dtype": dtype, "shape": shape}


def descriptions() -> dict[str, Any]:
    """Descriptions that claim too much, or that name what they should not."""
    tiny = "tests.reliability.Tiny"
    box = "Box"

    def with_weight(node: Any) -> Any:
        return {
            "class": tiny,
            "fields": [["weight", node], ["bias", leaf([8], "int64")], ["marker", leaf([], "int", "python")]],
        }

    def space(node: Any) -> Any:
        return {
            "class": box,
            "fields": [["low", node], ["high", node], ["shape", [1]], ["dtype", {"dtype": "float32"}]],
        }

    wide = {"class": tiny, "fields": [[f"f{i}", None] for i in range(100_000)]}
    deep: Any = None
    for _ in range(70):
        deep = [deep]
    return {
        "a leaf of 2^60 entries": with_weight(leaf([2**30, 2**30])),
        "a leaf of rank 1000": with_weight(leaf([1] * 1000)),
        "a static array of 2^40 entries": space({"array": "float32", "shape": [2**40], "all": 0.0}),
        "a static array of 2^24 float64": space({"array": "float64", "shape": [2**24], "all": 0.0}),
        "a static array of 2^25 bytes, twice": space({"array": "uint8", "shape": [2**25], "all": 0}),
        "a static array with fewer values": space({"array": "float32", "shape": [2**20], "values": [0.0]}),
        "a hundred thousand fields": wide,
        "a list of a hundred thousand": with_weight([None] * 100_000),
        "nested 70 deep": with_weight(deep),
        "an integer of 4001 digits": with_weight({"int": "0x" + "f" * 4001}),
        "a leaf with another member": with_weight({**leaf([8, 4]), "x": 0}),
        "a partial of a module": with_weight(
            {"partial": {"class": tiny, "fields": []}, "arguments": [], "keywords": {}}
        ),
        "a field twice": {"class": tiny, "fields": [["weight", leaf([8, 4])], ["weight", leaf([8, 4])]]},
    }


NAMES = [
    "os.system",
    "builtins.eval",
    "builtins.exec",
    "posix.system",
    "subprocess.Popen",
    "subprocess:run",
    "__import__('os').system('true')",
    "lambda: 0",
    "jax.jit",
    "equinox.filter_jit",
    "numpy.load",
    "pickle.loads",
    "importlib.import_module",
    "sys.exit",
    "perdure.cli.main",
    "../../etc/passwd",
    "torch.load",
    "antigravity",
    "this",
    "a" * 100_000,
    "\u202etanh",
    "tanh\0",
    "",
]


def canaries() -> dict[str, Any]:
    """Names of what must never be looked up, wherever a name may stand."""
    found = {}
    for name in NAMES:
        for kind in ("class", "function", "dtype", "partial"):
            node: dict[str, Any] = {kind: name}
            if kind == "class":
                node["fields"] = []
            if kind == "partial":
                node = {"partial": {"function": name}, "arguments": ["true"], "keywords": {}}
            found[f"{kind} {name[:30]!r}"] = node
    return found


def npy(text: bytes) -> bytes:
    """An array in an `.eqx` file with this header."""
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def npy_headers() -> dict[str, bytes]:
    """Headers, which numpy would evaluate as Python literals."""
    return {
        "many minus signs": npy(b"-" * 4000 + b"1\n"),
        "many brackets": npy(b"(" * 4000),
        "a call": npy(b"__import__('os').system('true')\n"),
        "an object dtype": npy(b"{'descr': '|O', 'fortran_order': False, 'shape': (8, 4), }\n"),
        "another shape": npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 4), }\n"),
        "columns first": npy(b"{'descr': '<f4', 'fortran_order': True, 'shape': (8, 4), }\n"),
        "no end": npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (8, 4), }\n")[:-20],
        "a key twice": npy(b"{'descr': '|O', 'descr': '<f4', 'fortran_order': False, 'shape': (8, 4), }\n"),
        "version 3": b"\x93NUMPY\x03\x00" + bytes(100),
        "no data": npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (8, 4), }\n"),
        "nothing": b"",
        "a record": npy(b"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (8, 4), }\n"),
    }


class Judge:
    """Counts what a reader does with the files that it is given."""

    def __init__(self, reader: Reader):
        self.reader, self.cases, self.wrong = reader, 0, []
        self.seconds = self.peak = 0.0

    def __call__(self, name: str, how: str, path: Path, *, size: int | None = None, part: str = "") -> None:
        told = self.reader(how, path)
        size = (path.stat().st_size if path.is_file() else 0) if size is None else size
        self.cases += 1
        self.seconds, self.peak = max(self.seconds, told["seconds"]), max(self.peak, told["peak"])
        limits = told["seconds"] <= 1 and told["peak"] <= 64 * MIB + 4 * size
        typed = told["error"] in ("FileFormatError", "FingerprintError", "FileNotFoundError")
        named = how == "json" or (part or path.name) in told["message"]
        if not (limits and typed and named) or told["done"] or len(told["message"]) > 1900:
            self.wrong.append(
                f"{name}, {how}: {told['seconds']:.2f} s, {told['peak'] / MIB:.0f} MiB for {size / MIB:.0f}, "
                f"{told['error']} {told['message'][:200]!r} {told['done']}"
            )

    def tell(self, figures: Any, **more: int) -> None:
        figures(files=self.cases, not_refused_in_bounds=len(self.wrong), **more)
        figures(most_seconds=round(self.seconds, 2), most_MiB=round(self.peak / MIB))
        assert not self.wrong, "\n".join(self.wrong)


@pytest.fixture
def judge(reader):
    valid = copy_of(reader.folder / "valid")
    yield Judge(reader)
    shutil.rmtree(reader.folder / "valid")
    put_all(reader.folder / "valid", valid)


def put(reader: Reader, name: str, content: bytes) -> Path:
    (reader.folder / name).write_bytes(content)
    return reader.folder / name


def test_hostile_json_is_refused_wherever_it_stands(reader, judge, figures):
    whole = (reader.folder / "valid" / METADATA).read_bytes()
    signature = {"format": "perdure.policy/1", "fingerprint": "0", "metadata": "{}", "perdure": "0", "jax": "0"}
    for name, text in texts().items():
        judge(name, "json", put(reader, "bomb.json", text))
        if len(text) > MIB and not FULL:
            continue
        put(reader, "valid/metadata.json", text)
        judge(name, "checkpoint", reader.folder / "valid", size=len(text), part="metadata.json")
        judge(name, "policy", put(reader, "bomb.safetensors", header(text)))
        judge(name, "header", reader.folder / "bomb.safetensors")
        if len(text) < 16 * MIB and text.isascii():
            metadata = {**signature, "description": text.decode()}
            rows: list[Any] = []
            content = raw_tensors({}, {**metadata, "digest": sha256(dumps_json([metadata, rows]))})
            judge(f"description: {name}", "policy", put(reader, "bomb.safetensors", content))
        start = bytes(32) + text + struct.pack("<QI8s", len(text), 1, b"PERDURE\n")
        judge(name, "eqx", put(reader, "bomb.eqx", start + hashlib.sha256(start).digest()))
    put(reader, "valid/metadata.json", whole)
    judge.tell(figures, texts=len(texts()))


def test_headers_that_lie_are_refused(reader, judge, small, figures):
    entry = json.loads((reader.folder / "valid" / METADATA).read_bytes())
    model = (reader.folder / "valid" / MODEL).read_bytes()
    for name, content in headers().items():
        for how in ("policy", "header"):
            judge(name, how, put(reader, "bomb.safetensors", content))
        path = put(reader, f"valid/{MODEL}", content)
        resign(reader.folder / "valid", {"files": {**entry["files"], MODEL: entry_of(path)}})
        judge(name, "policy of", reader.folder / "valid", size=len(content), part=MODEL)
    put(reader, f"valid/{MODEL}", model)
    resign(reader.folder / "valid", {"files": entry["files"]})
    judge.tell(figures)


def test_descriptions_that_claim_too_much_are_refused(reader, judge, figures):
    tensors = {"weight": np.zeros((8, 4), np.float32), "bias": np.zeros(8, np.int64), "marker": np.array(0)}
    entry = json.loads((reader.folder / "valid" / METADATA).read_bytes())
    for name, node in descriptions().items():
        judge(name, "policy", put(reader, "bomb.safetensors", signed_policy(node, tensors)))
        judge(name, "eqx", put(reader, "bomb.eqx", signed_eqx(node)))
        judge(name, "large eqx", reader.folder / "bomb.eqx")
        resign(reader.folder / "valid", {"policy": node})
        judge(name, "policy of", reader.folder / "valid", size=len(dumps_json(node)), part="valid")
        resign(reader.folder / "valid", {"policy": entry["policy"], "env": node})
        judge(name, "checkpoint", reader.folder / "valid", size=len(dumps_json(node)), part="valid")
        resign(reader.folder / "valid", {"policy": entry["policy"], "env": entry["env"]})
    description = describe(Tiny(3), root="Tiny")
    for name, leaves in npy_headers().items():
        judge(name, "eqx", put(reader, "bomb.eqx", signed_eqx(description, leaves)))
    judge.tell(figures)


def test_names_of_code_are_only_names(reader, judge, figures):
    entry = json.loads((reader.folder / "valid" / METADATA).read_bytes())
    tensors = {"weight": np.zeros((8, 4), np.float32)}
    for name, node in canaries().items():
        judge(name, "policy", put(reader, "bomb.safetensors", signed_policy(node, tensors)))
        resign(reader.folder / "valid", {"policy": entry["policy"], "env": node})
        judge(name, "checkpoint", reader.folder / "valid", part="valid")
        judge(name, "eqx", put(reader, "bomb.eqx", signed_eqx(node)))
    for name in NAMES:
        resign(reader.folder / "valid", {"env": entry["env"], "algorithm": name})
        judge(f"algorithm {name[:30]!r}", "checkpoint", reader.folder / "valid", part="valid")
        resign(
            reader.folder / "valid", {"algorithm": entry["algorithm"], "settings": {**entry["settings"], name: name}}
        )
        judge(f"setting {name[:30]!r}", "checkpoint", reader.folder / "valid", part="valid")
    resign(reader.folder / "valid", {"settings": entry["settings"]})
    judge.tell(figures)


TRAVERSALS = [
    "../outside.safetensors",
    "../../outside.safetensors",
    "..",
    ".",
    "",
    "/etc/passwd",
    "/dev/zero",
    "/dev/stdin",
    "//etc/passwd",
    "~/.ssh/id_rsa",
    "$HOME/x",
    "file:///etc/passwd",
    "http://localhost/x.safetensors",
    "C:\\x.safetensors",
    "\\\\host\\share\\x",
    "..\\outside.safetensors",
    "a/../../outside.safetensors",
    "model_state.safetensors/../../outside.safetensors",
    "./model_state.safetensors",
    "MODEL_STATE.SAFETENSORS",
    "model_state.safetensors\0",
    "model_state.safetensors ",
    "model_state\u2024safetensors",
    "%2e%2e/outside.safetensors",
    "NUL",
    "a" * 300,
]


def test_no_name_leads_outside(reader, judge, figures):
    directory = reader.folder / "valid"
    outside = put(reader, "outside.safetensors", (directory / MODEL).read_bytes())
    files = json.loads((directory / METADATA).read_bytes())["files"]
    for name in TRAVERSALS:
        resign(directory, {"files": {**files, name: entry_of(outside)}})
        judge(f"more: {name}", "checkpoint", directory, part=METADATA)
        judge(f"more: {name}", "verify", directory, part=METADATA)
        others = {own: entry for own, entry in files.items() if own != MODEL}
        resign(directory, {"files": {**others, name: entry_of(outside)}})
        judge(f"instead: {name}", "checkpoint", directory, part=METADATA)
    resign(directory, {"files": files})
    model = (directory / MODEL).read_bytes()
    for target in ("/etc/passwd", "/dev/zero", "/dev/stdin", "/proc/self/mem", "/", "/nowhere"):
        (directory / MODEL).unlink()
        (directory / MODEL).symlink_to(target)
        told = reader("checkpoint", directory)  # a link is followed, as those of the hub's cache must be; what it leads
        assert told["error"] in ("FileFormatError", "FileNotFoundError"), told  # to is not what was saved
        assert all(done.startswith(f"open ('{directory / MODEL}', None, ") for done in told["done"])
        judge.cases += 1
    (directory / MODEL).unlink()
    put(reader, f"valid/{MODEL}", model)
    judge.tell(figures)


def test_what_is_no_file_or_has_no_end_is_refused(reader, judge, tmp_path, figures):
    directory = reader.folder / "valid"
    for name, how in (
        (METADATA, "checkpoint"),
        (MODEL, "policy of"),
        ("x.safetensors", "policy"),
        ("x.safetensors", "header"),
        ("x.eqx", "eqx"),
    ):
        path = directory / name if "x." not in name else reader.folder / name
        whole = path.read_bytes() if path.exists() else b""
        read = directory if "x." not in name else path
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        judge("a FIFO", how, read, part=name)
        path.unlink()
        with socket.socket(socket.AF_UNIX) as listening:
            here = os.getcwd()
            os.chdir(path.parent)  # the name of a socket may not be long
            try:
                listening.bind(path.name)
            finally:
                os.chdir(here)
            judge("a socket", how, read, part=name)
        path.unlink()
        path.mkdir()
        judge("a directory", how, read, part=name)
        path.rmdir()
        path.symlink_to(path.name)
        judge("a link to itself", how, read, part=name)
        path.unlink()
        with open(path, "wb") as file:
            file.truncate(2**40)  # takes no room on the disk
        judge("a sparse file", how, read, size=0, part=name)
        with open(path, "r+b") as file:
            file.write((2**40 - 8).to_bytes(8, "little"))
        judge("a sparse file with a header", how, read, size=0, part=name)
        path.unlink()
        if whole:
            path.write_bytes(whole)
    judge.tell(figures)
