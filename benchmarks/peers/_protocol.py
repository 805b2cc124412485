"""How a peer talks to the benchmark: one JSON object a line. Start-up costs first, then one object for each line it is sent.

Time is this process's CPU time, which noise on the machine disturbs less than the clock.
"""

import json
import sys
import time
from collections.abc import Callable


def serve(start: dict[str, float | str], run: Callable[[], dict[str, float]]) -> None:
    """Report `start`, then call `run` whenever the benchmark asks, until it closes the pipe."""
    print(json.dumps(start), flush=True)
    for _ in sys.stdin:
        before = time.process_time()
        result = run()
        print(json.dumps({"seconds": time.process_time() - before, **result}), flush=True)
