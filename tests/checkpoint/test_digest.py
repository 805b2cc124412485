"""The digest of a file: that of its bytes, however they come, and another one for any other bytes."""

import hashlib
import itertools

import numpy as np
import pytest

from perdure.checkpoint import _digest
from perdure.checkpoint._digest import entry_of, start_digest


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(_digest, "PIECE", 16)
    monkeypatch.setattr(_digest, "WORTH_A_THREAD", 32)


def content_of(size):
    return np.random.default_rng(size).bytes(size)


@pytest.mark.parametrize("size", [0, 1, 15, 16])
def test_a_short_content_has_its_sha256(size, small_pieces):
    content = content_of(size)
    assert entry_of(content) == {"size": size, "sha256": hashlib.sha256(content).hexdigest()}


@pytest.mark.parametrize("size", [17, 31, 32, 33, 1000])
def test_a_long_content_has_the_sha256_of_those_of_its_pieces(size, small_pieces):
    content = content_of(size)
    pieces = [hashlib.sha256(content[i : i + 16]).digest() for i in range(0, size, 16)]
    whole = hashlib.sha256(b"".join(pieces)).hexdigest()
    assert entry_of(content) == {"size": size, "sha256": whole, "pieces": 16}


@pytest.mark.parametrize("cuts", [(0, 16, 40), (1, 2, 3, 50), (15, 33), (16, 32, 48), (99,)])
def test_how_it_comes_does_not_matter(cuts, small_pieces):
    content = content_of(100)
    edges = [0, *cuts, 100]
    chunks = [memoryview(content)[a:b] for a, b in itertools.pairwise(edges)]
    assert start_digest(chunks)() == entry_of(content)


def test_any_other_bit_gives_another_digest(small_pieces):
    content = bytearray(content_of(50))
    seen = {entry_of(bytes(content))["sha256"]}
    for bit in range(8 * len(content)):
        content[bit // 8] ^= 1 << bit % 8
        seen.add(entry_of(bytes(content))["sha256"])
        content[bit // 8] ^= 1 << bit % 8
    assert len(seen) == 1 + 8 * len(content)


def test_one_that_was_taken_in_whole_is_told_apart(small_pieces):
    content = content_of(100)
    assert entry_of(content, in_pieces=False) == {"size": 100, "sha256": hashlib.sha256(content).hexdigest()}


def test_it_is_worked_out_where_no_thread_starts_any_more(small_pieces, monkeypatch):
    def refuse(*arguments):
        raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    expected = entry_of(content_of(100))
    monkeypatch.setattr(_digest.ThreadPoolExecutor, "map", refuse)
    assert entry_of(content_of(100)) == expected
