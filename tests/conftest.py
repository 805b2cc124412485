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
