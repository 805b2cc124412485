"""How a file's content is told from any other.

Up to 16 MiB by its SHA-256, as `sha256sum` prints it. Of more, threads take in 16 MiB each, and what counts is the SHA-256 of
their binary digests, one after the other: a processor without instructions for SHA-256 takes longer over it than the disk. The
entry of a content that was cut says so by `pieces`; one without it is of the whole, however long, as it was at first.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from typing import Any

PIECE = 2**24  # bytes
WORTH_A_THREAD = 2**20
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


def start_digest(chunks: list[Chunk], *, in_pieces: bool = True) -> Callable[[], dict[str, Any]]:
    """Begin to take in a content, beside what the caller does now; the function that comes back waits for its entry."""
    pieces = list(pieces_of(chunks)) if in_pieces else [[memoryview(chunk) for chunk in chunks]]
    size = sum(map(len, chunks))
    digests: Iterable[bytes] = map(sha256_of, pieces)
    pool = None
    if size >= WORTH_A_THREAD:
        pool = ThreadPoolExecutor(min(len(pieces), os.cpu_count() or 1))
        with suppress(RuntimeError):  # the interpreter is ending, and starts no more threads
            digests = pool.map(sha256_of, pieces)

    def finish() -> dict[str, Any]:
        with pool or nullcontext():
            parts = list(digests)
        if len(parts) > 1:
            return {"size": size, "sha256": hashlib.sha256(b"".join(parts)).hexdigest(), "pieces": PIECE}
        return {"size": size, "sha256": (parts or [sha256_of([])])[0].hex()}

    return finish


def entry_of(content: Chunk, *, in_pieces: bool = True) -> dict[str, Any]:
    """What tells a content from any other: its size, its digest, and, if it was cut, where."""
    return start_digest([content], in_pieces=in_pieces)()
