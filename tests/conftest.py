"""Every test runs with the shapes and types of JAX's arrays checked at run time, and with quick compilation.

The rooms that work on graphs and files are not checked at each call, which would take most of the time of their tests.

Compiling is most of what a test costs. The passes left out change how fast a program runs, not what it computes; the emitters
of fused loops left out double the time of compiling. Programs that tests start in a process of their own compile as users' do.
What one process of a run has compiled, the others find.
"""

import atexit
import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" not in os.environ:  # the first process of the run; the others inherit it
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="perdure-compiled-")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.3"
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)

import jax  # reads these
from jaxtyping import install_import_hook

with pytest.MonkeyPatch.context() as patch:  # processes that tests start are not to see the flag
    if version("jaxlib").startswith("0.10."):  # one that does not know it would end the run
        patch.setenv("XLA_FLAGS", f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_use_fusion_emitters=false")
    jax.devices()  # reads it
jax.config.update("jax_disable_most_optimizations", True)
ROOMS = ("algorithm", "callback", "distribution", "env", "evaluation", "models", "network", "policy", "space")
install_import_hook([f"perdure.{room}" for room in ROOMS], "beartype.beartype")


@pytest.fixture(autouse=True)
def forget_compiled_programs():
    """Each program that JAX compiles keeps a few memory mappings, of which Linux gives a process 65,530; then XLA crashes."""
    yield
    mappings = Path("/proc/self/maps")
    if not mappings.exists() or mappings.read_bytes().count(b"\n") > 30_000:
        jax.clear_caches()
        gc.collect()


@pytest.fixture
def quick_path(tmp_path) -> Iterator[Path]:
    """As `tmp_path`, in memory where the system offers it: for tests of what is called, not of the disk."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.fixture
def figures(record_property):
    """A function that puts figures into the table at the end of the run."""

    def tell(**values) -> None:
        for name, value in values.items():
            record_property(f"figure:{name}", value)

    return tell


def pytest_terminal_summary(terminalreporter):
    """The table of what tests told by `figures`. It stands here because under xdist only this file is loaded where it prints."""
    sums: dict[str, dict[str, float]] = {}
    for report in [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]:
        told = {n.removeprefix("figure:"): v for n, v in report.user_properties if n.startswith("figure:")}
        if told and report.when == "call":
            test, _, variant = report.nodeid.split("::")[-1].removeprefix("test_").partition("[")
            sums.setdefault(test, {"variants": 0})["variants"] += bool(variant)
            for what, value in told.items():
                largest = what.startswith("most_")
                before = sums[test].get(what, 0)
                sums[test][what] = max(before, value) if largest else before + value
    if sums:
        terminalreporter.section("figures")
        for test, told in sums.items():
            figures = "   ".join(
                f"{what.replace('_', ' ')} {value}" for what, value in told.items() if what != "variants" or value
            )
            terminalreporter.write_line(f"{test:<64} {figures}")
