"""How long models of Stable-Baselines3 take to import, once JAX is loaded.

    python benchmarks/importing.py MODEL.zip ...

The first time holds what is compiled once in a process, the second is the least of five.
"""

import sys
import time
from pathlib import Path

import jax.numpy as jnp
from rich.console import Console
from rich.table import Table

from perdure.importer import read_sb3


def seconds_to_import(path: Path) -> float:
    start = time.perf_counter()
    read_sb3(path)
    return time.perf_counter() - start


def main() -> None:
    if len(sys.argv) == 1:
        raise SystemExit("Name one or more zips: python benchmarks/importing.py MODEL.zip ...")
    jnp.zeros(1).block_until_ready()
    table = Table(title="seconds to import")
    for name in ("model", "KB", "first", "again"):
        table.add_column(name, justify="left" if name == "model" else "right")
    for path in map(Path, sys.argv[1:]):
        first, again = seconds_to_import(path), min(seconds_to_import(path) for _ in range(5))
        table.add_row(path.name, f"{path.stat().st_size / 1000:.0f}", f"{first:.3f}", f"{again:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
