"""Saving beside the training: what is saved is fixed at once, and written by another thread."""

import atexit
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from perdure._core import owned
from perdure.env.adapter import HostEnv

from ._directory import pack, write


class BackgroundSaver:
    """Saves checkpoints in a thread of its own, one after the other.

    `save` copies the state and returns; a second one first waits for the first. What goes wrong while writing is raised by
    the next `save`, `wait` or `close`. Leaving its `with` block, or the end of the program, waits for what is under way.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "perdure-save")
        self._pending: Future[None] | None = None
        atexit.register(self.close)

    def save(
        self,
        directory: str | Path,
        algorithm: Any,
        state: Any,
        *,
        env: HostEnv | None = None,
        buffer: bool = False,
        config: bool = False,
        force: bool = False,
        metadata: Mapping[str, Any] | None = None,
        allow_nonfinite: bool = False,
        then: Callable[[], None] | None = None,
    ) -> None:
        """As `perdure.checkpoint.save`, but for errors of the disk, which come later. `then` is called when it is done."""
        self.wait()
        contents = pack(algorithm, state, env=env, buffer=buffer, metadata=metadata, allow_nonfinite=allow_nonfinite)
        contents = contents._replace(leaves=owned(contents.leaves))  # training goes on in the memory of the state

        def work() -> None:
            write(directory, contents, config=config, force=force)
            if then is not None:
                then()

        self._pending = self._pool.submit(work)

    def wait(self) -> None:
        """Wait for what is under way. Raises: what went wrong with it, once."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def close(self) -> None:
        """Wait for what is under way and end the thread. Raises: as `wait`."""
        atexit.unregister(self.close)
        try:
            self.wait()
        finally:
            self._pool.shutdown()

    def __enter__(self) -> "BackgroundSaver":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
