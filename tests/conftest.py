"""Every test runs with the shapes and types of `perdure` checked at run time, and with quick compilation.

Compiling is most of what a test costs. The passes left out change how fast a program runs, not what it computes; programs
that tests start in a process of their own compile as users' do.
"""

import gc
from pathlib import Path

import jax
import pytest
from jaxtyping import install_import_hook

jax.config.update("jax_disable_most_optimizations", True)
install_import_hook("perdure", "beartype.beartype")


@pytest.fixture(autouse=True)
def forget_compiled_programs():
    """Each program that JAX compiles keeps a few memory mappings, of which Linux gives a process 65,530; then XLA crashes."""
    yield
    mappings = Path("/proc/self/maps")
    if not mappings.exists() or mappings.read_bytes().count(b"\n") > 30_000:
        jax.clear_caches()
        gc.collect()


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
