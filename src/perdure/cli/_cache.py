"""JAX's compilation cache on disk: compiling is most of what a small run costs, and this makes it once for all runs."""

import os
import sys
from pathlib import Path


def cache_directory() -> Path:
    """Where the user's programs keep what can be made again: `$XDG_CACHE_HOME/perdure`, or what the system has for it."""
    if "XDG_CACHE_HOME" in os.environ:
        return Path(os.environ["XDG_CACHE_HOME"]) / "perdure"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "perdure"
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "perdure"


def use_compilation_cache(on: bool) -> None:
    """Keep every compiled function on disk, unless `on` is False or the user has set JAX's own variable."""
    import jax

    if not on or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    jax.config.update("jax_compilation_cache_dir", str(cache_directory() / "jax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
