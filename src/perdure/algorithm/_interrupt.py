"""Ctrl-C and SIGTERM that lose nothing: the first one is remembered, the second one acts at once."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

_HANDLED_BY_PYTHON: dict[signal.Signals, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
}


@contextmanager
def catch_signals() -> Iterator[Callable[[], int | None]]:
    """Yields a function that gives SIGINT or SIGTERM if it came inside the block, else None; a second one acts as always.

    Outside the main thread, where Python delivers no signals, and for a signal that somebody else handles, it is None.
    """
    came: int | None = None

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal came
        if came is None:
            came = number
            return
        signal.signal(number, _HANDLED_BY_PYTHON[signal.Signals(number)])
        os.kill(os.getpid(), number)

    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            for number, usual in _HANDLED_BY_PYTHON.items():
                if signal.getsignal(number) is usual:
                    signal.signal(number, remember)
                    stack.callback(signal.signal, number, usual)
        yield lambda: came
