"""Random, and randomly changed but rightly signed, files for every parser: an answer or one of our errors, nothing else."""

import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from perdure._core import FileFormatError, dumps_json, loads_json, readable
from tests.support.parsers import ALLOWED, parsers
from tests.support.reliability_kit import count

pytestmark = pytest.mark.reliability
PARSERS = parsers()
CHECKS = settings(
    max_examples=count(1000, 10_000),
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)

KEYS = ["class", "fields", "leaf", "dtype", "shape", "list", "dict", "float", "int", "bytes", "array", "all", "values"]
KEYS += ["scalar", "value", "function", "partial", "arguments", "keywords", "default"]  # of descriptions
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["tests.reliability.Tiny", "Box", "tanh", "float32", "jax", "python", "nan", "F32", "0x1", "00"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=4), inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


def replaced(node: Any, data: Any) -> Any:
    """`node` with one of its members, at any depth, replaced, removed or doubled."""
    members = list(node.items()) if isinstance(node, dict) else list(enumerate(node)) if isinstance(node, list) else []
    if not members or data.draw(st.integers(0, 3)) == 0:
        return data.draw(values)
    at, member = data.draw(st.sampled_from(members))
    if isinstance(node, dict):
        return (
            {**node, at: replaced(member, data)}
            if data.draw(st.integers(0, 9))
            else {n: m for n, m in members if n != at}
        )
    return [*node[:at], replaced(member, data), *node[at + 1 - data.draw(st.integers(0, 1)) :]]


def changed_json(text: bytes, data: Any) -> bytes:
    return json.dumps(replaced(json.loads(text), data)).encode()


def changed_bytes(content: bytes, data: Any) -> bytes:
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content)))
        content = content[:at] + data.draw(st.binary(max_size=6)) + content[at + data.draw(st.integers(0, 6)) :]
    return content


def changed(name: str, content: bytes, data: Any) -> bytes:
    """A file like `content`, changed where the parser looks."""
    if data.draw(st.booleans()):
        return changed_bytes(content, data)
    if name == "metadata":
        return changed_json(content, data)
    if name == "eqx":
        length = int.from_bytes(content[-52:-44], "little")
        start, text, end = content[: -52 - length], content[-52 - length : -52], content[-44:]
        text = changed_json(text, data)
        return start + text + len(text).to_bytes(8, "little") + end
    length = int.from_bytes(content[:8], "little")
    header, rest = json.loads(content[8 : 8 + length]), content[8 + length :]
    if name == "policy":
        inner = data.draw(st.sampled_from(["description", "description", "metadata"]))
        header["__metadata__"][inner] = changed_json(header["__metadata__"][inner].encode(), data).decode()
    else:
        header = replaced(header, data)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + rest


def outcome(parse: Any, content: bytes) -> str:
    """What becomes of a file, within a second of processor time. A slow one is tried again: it may have been the machine."""
    for _ in range(3):
        started = time.process_time()
        try:
            parse(content)
            told = "read"
        except ALLOWED as error:
            told = "refused" if len(str(error)) < 4000 else "refused at length"
        seconds = time.process_time() - started
        assert told != "refused at length"
        if seconds < 1:
            return told
    raise AssertionError(f"{told}, but it took {seconds:.1f} s, three times")


@pytest.mark.parametrize("name", PARSERS)
def test_changed_files_with_right_digests_are_read_or_refused(name, figures):
    parser, told = PARSERS[name], {"read": 0, "refused": 0}

    @CHECKS
    @given(st.data())
    def check(data):
        content = changed(name, parser.valid, data)
        if data.draw(st.booleans()):
            content = parser.sign(content)
        told[outcome(parser.parse, content)] += 1

    check()
    figures(cases=sum(told.values()), **told, untyped=0)
    assert told["read"] > 0


@pytest.mark.parametrize("name", PARSERS)
def test_random_bytes_are_refused(name, figures):
    parser, told = PARSERS[name], {"read": 0, "refused": 0}

    @settings(CHECKS, max_examples=count(300, 10_000))
    @given(st.binary(max_size=200))
    def check(content):
        told[outcome(parser.parse, content)] += 1

    check()
    figures(cases=sum(told.values()), refused=told["refused"], untyped=0)
    assert told["read"] == 0


@settings(CHECKS, max_examples=count(300, 10_000))
@given(values)
def test_what_is_written_is_read_again_or_refused_before(value):
    try:
        written = dumps_json(value)
    except ValueError:  # NaN and infinities
        return
    try:
        again = readable(value)
    except ValueError:
        with pytest.raises(FileFormatError):
            loads_json(written)
        return
    assert dumps_json(again) == written


@CHECKS
@given(st.text() | st.binary())
def test_json_of_any_text_is_read_or_refused(text):
    outcome(loads_json, text)
