"""A training is what its seed, its settings and its versions say: not the clock, callbacks, chunks, saves, other work."""

import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from tests.checkpoint.test_resume import EVERY_KIND, in_a_process
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
    code, printed = in_a_process("repeat", seed, *kinds, without=["JAX_COMPILATION_CACHE_DIR"] if FULL else ())
    assert code == 0, printed
    return printed


@pytest.mark.slow
@EVERY_KIND
def test_nothing_but_seed_and_settings_decides_what_is_learned(kinds, figures):
    kinds, seeds = kinds[:: count(4, 1)], range(count(2, 6))
    with load():
        whole, *cut = [repeated(seed, kinds) for seed in seeds]
    for other in cut:
        assert other == whole
    figures(cut_trainings_that_end_as_the_uncut_one=len(cut) * len(kinds))
