"""How a file's content is told from any other.

Up to 16 MiB by its SHA-256, as `sha256sum` prints it. Of more, threads take in 16 MiB each, and what counts is the SHA-256 of
their binary digests, one after the other: a processor without instructions for SHA-256 takes longer over it than the disk.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

PIECE = 2**24  # bytes
Chunk = bytes | memoryview


def pieces_of(chunks: Iterable[Chunk]) -> Iterator[list[memoryview]]:
    """What chunks hold one after the other, cut every `PIECE` bytes; nothing is copied."""
    piece: list[memoryview] = []
    free = PIECE
    for chunk in chunks:
        rest = memoryview(chunk)
        while rest:
            piece.append(rest[:free])
            rest, free = rest[free:], free - len(piece[-1])
            if not free:
                yield piece
                piece, free = [], PIECE
    if piece:
        yield piece


def sha256_of(piece: list[memoryview]) -> bytes:
    digest = hashlib.sha256()
    for part in piece:
        digest.update(part)
    return digest.digest()


def start_digest(chunks: Iterable[Chunk]) -> Callable[[], dict[str, Any]]:
    """Begin to take in a content, beside what the caller does now; the function that comes back waits for its entry."""
    pieces = list(pieces_of(chunks))
    size = sum(len(part) for piece in pieces for part in piece)
    if len(pieces) < 2:
        entry = {"size": size, "sha256": sha256_of(pieces[0] if pieces else []).hex()}
        return lambda: entry
    pool = ThreadPoolExecutor(min(len(pieces), os.cpu_count() or 1))
    try:
        digests: Iterable[bytes] = pool.map(sha256_of, pieces)
    except RuntimeError:  # the interpreter is ending, and starts no more threads
        digests = [sha256_of(piece) for piece in pieces]

    def finish() -> dict[str, Any]:
        with pool:
            whole = hashlib.sha256(b"".join(digests)).hexdigest()
        return {"size": size, "sha256": whole, "pieces": PIECE}

    return finish


def entry_of(content: Chunk) -> dict[str, Any]:
    """What tells a content from any other: its size, its digest, and, if it was cut, where."""
    return start_digest([content])()
