"""The command line as a user runs it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PERDURE = shutil.which("perdure", path=str(Path(sys.executable).parent))


def perdure(*arguments, cwd, check=True, **environment):
    """Run `perdure` with a terminal of 120 columns; what it prints, standard error after standard output."""
    assert PERDURE, "perdure is not installed beside this Python"
    env = {**os.environ, "COLUMNS": "120", "XDG_CACHE_HOME": str(cwd / "cache"), **environment}
    env.pop("JAX_COMPILATION_CACHE_DIR", None)  # it caches as a user's does
    done = subprocess.run(
        [PERDURE, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, env=env, check=False
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done
