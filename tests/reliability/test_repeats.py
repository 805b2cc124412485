"""A training is what its seed, its settings and its versions say: not the clock, callbacks, chunks, saves, other work."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from tests.checkpoint.test_resume import HOST, MUJOCO, NATIVE, REMEMBERING
from tests.support import resuming
from tests.support.reliability_kit import FULL, count

pytestmark = pytest.mark.reliability
BUSY = "while True: sum(range(100_000))"


@contextmanager
def load():
    """Other work on every core meanwhile."""
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(os.cpu_count() or 1)] if FULL else []
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def repeated(seed, kinds):
    """`{kind: digest}` of a fresh process; in a full run it also compiles anew."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    if FULL:
        del env["JAX_COMPILATION_CACHE_DIR"]
    command = [sys.executable, resuming.__file__, "repeat", str(seed), *kinds]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, env=env).stdout)


@pytest.mark.slow
@pytest.mark.parametrize("kinds", [NATIVE, HOST, MUJOCO, REMEMBERING], ids=["native", "host", "mujoco", "memory"])
def test_nothing_but_seed_and_settings_decides_what_is_learned(kinds, figures):
    if kinds is not NATIVE:
        pytest.importorskip("gymnasium", reason="needs the extra gym")
    if kinds is MUJOCO:
        pytest.importorskip("mujoco", reason="needs the extra mujoco")
    kinds, seeds = kinds[:: count(4, 1)], range(count(2, 6))
    with load():
        whole, *cut = [repeated(seed, kinds) for seed in seeds]
    for other in cut:
        assert other == whole
    figures(cut_trainings_that_end_as_the_uncut_one=len(cut) * len(kinds))
