"""What the bits of a training depend on beside its settings and versions: flags of JAX, and what computes."""

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib

FLAGS = ("jax_threefry_partitionable", "jax_enable_x64", "jax_default_matmul_precision")
VECTORS = (
    "sse4_2",
    "avx",
    "avx2",
    "fma",
    "avx512f",
    "amx_tile",
    "asimd",
    "sve",
)  # width and order of sums depend on them
CPU_INFO = Path("/proc/cpuinfo")


def numerics() -> dict[str, Any]:
    """The flags, versions and device of this process, as JSON: where one differs, bits may."""
    device = next(iter(jnp.zeros(()).devices()))
    return {
        **{name: getattr(jax.config, name) for name in FLAGS},
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "XLA_FLAGS": xla_flags(),
        "device": f"cpu {CPU}" if device.platform == "cpu" else f"{device.platform} {device.device_kind}",
    }


def xla_flags() -> str:
    """XLA_FLAGS, but for those that say where XLA writes files."""
    flags = os.environ.get("XLA_FLAGS", "").split()
    return " ".join(flag for flag in flags if not flag.startswith("--xla_dump"))


def cpu() -> str:
    """The kind of processor with its vector extensions, as far as the system tells them."""
    try:
        lines = CPU_INFO.read_text().splitlines()
    except OSError:
        lines = []
    told = next((line for line in lines if line.lower().startswith(("flags", "features"))), "").split()
    return " ".join([platform.machine(), *(name for name in VECTORS if name in told)])


CPU = cpu()  # once, so that to load a checkpoint opens nothing but the checkpoint


def other_numerics(saved: object) -> dict[str, tuple[Any, Any]]:
    """By name what a checkpoint was computed with and what this process has, where they differ.

    Nothing for what the file does not tell, as those of before do not.
    """
    here = numerics()
    if not isinstance(saved, Mapping):
        return {}
    return {name: (saved[name], now) for name, now in here.items() if name in saved and saved[name] != now}


def in_words(differing: Mapping[str, tuple[Any, Any]]) -> str:
    """As in `jaxlib was 0.9.0 and is 0.10.2`."""
    return "; ".join(f"{name} was {str(was)[:80]!r} and is {str(now)[:80]!r}" for name, (was, now) in differing.items())
