"""How a peer talks to the benchmark: a JSON object for each line it is sent, "compile" or "run"; start-up costs come first.

Time is this process's CPU time, which noise on the machine disturbs less than the clock.
"""

import json
import sys
import time
from collections.abc import Callable


def serve(start: dict[str, float], compile_: Callable[[], None], run: Callable[[], int]) -> None:
    """Report `start`, then do as the benchmark asks until it closes the pipe; `run` gives its environment steps."""
    print(json.dumps(start), flush=True)
    for line in sys.stdin:
        before = time.process_time()
        steps = run() if line.strip() == "run" else compile_()
        print(json.dumps({"seconds": time.process_time() - before, "steps": steps}), flush=True)
