"""The inert pickle machine, on pickles made to exhaust or to break it."""

import contextlib

import numpy as np
import pytest

from perdure._core import FileFormatError
from perdure.importer._pickle import read_pickle
from tests.support.forge import box, dump, opcodes, vecnormalize

pytestmark = pytest.mark.usefixtures("nothing_happens")

BOMBS = {
    "a deep tuple": b"\x80\x02)" + b"\x85" * 200_000 + b".",
    "a deep tuple as a key": b"\x80\x02})" + b"\x85" * 200_000 + b"Ns.",
    "doubling": b"\x80\x02]" + b"q\x00(h\x00h\x00e" * 20_000 + b".",
    "a set of itself": b"\x80\x04\x8fq\x00(h\x00\x90.",
    "a mark that never ends": b"\x80\x02" + b"(" * 200_000 + b".",
    "keys that collide": b"\x80\x02}(" + b"".join(opcodes(i * (2**61 - 1)) + b"N" for i in range(50_000)) + b"u.",
}


@pytest.mark.parametrize("name", BOMBS)
def test_pickles_that_would_exhaust_memory_or_the_stack_are_read_or_refused(name):
    with contextlib.suppress(FileFormatError):
        read_pickle(BOMBS[name])


def test_more_opcodes_than_allowed_are_refused():
    with pytest.raises(FileFormatError, match="opcodes"):
        read_pickle(b"\x80\x02" + b"N0" * 100 + b"N.", max_opcodes=100)


@pytest.mark.parametrize("size", [0, 1, 10, 100])
def test_a_pickle_that_ends_early_is_refused(size):
    with pytest.raises(FileFormatError):
        read_pickle(dump(box())[:size])


@pytest.mark.parametrize("seed", range(30))
def test_a_pickle_with_bytes_changed_is_read_or_refused(seed):
    rng = np.random.default_rng(seed)
    for _ in range(100):
        content = bytearray(dump(vecnormalize()))
        for at in rng.integers(0, len(content), 3):
            content[at] = rng.integers(0, 256)
        with contextlib.suppress(FileFormatError):
            read_pickle(bytes(content))
