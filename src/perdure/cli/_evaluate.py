"""`perdure evaluate`: how well a saved policy does."""

from pathlib import Path

import tyro
from jax import random as jr
from rich.console import Console
from rich.table import Table

from perdure.evaluation import evaluate as returns_of, summarize

from ._cache import use_compilation_cache
from ._run import environment_of, load_run


def evaluate(
    path: tyro.conf.Positional[Path],
    env: str | None = None,
    episodes: int = 20,
    stochastic: bool = False,
    seed: int = 0,
    compilation_cache: bool = True,
) -> None:
    """Play episodes with a saved policy and print the returns.

    Args:
        path: Folder that `perdure train` made, or a policy.safetensors file.
        env: Name of the environment; by default the one the policy was trained on.
        episodes: How many to play, each from its own random start.
        stochastic: Sample actions instead of taking the best one.
        seed: Of the starts, and of the actions if they are sampled.
        compilation_cache: Keep compiled functions in the user's cache folder for the next run.
    """
    use_compilation_cache(compilation_cache)
    policy, metadata = load_run(path)
    environment = environment_of(metadata, env)
    returns = returns_of(policy, environment, num_episodes=episodes, deterministic=not stochastic, key=jr.key(seed))
    summary = summarize(returns)
    table = Table(
        title=f"{policy.name} on {env or metadata['environment']}, {'sampled' if stochastic else 'best'} actions"
    )
    for column in ("episodes", "mean return", "95 % interval", "std", "median", "lowest", "highest"):
        table.add_column(column, justify="right")
    interval = f"{summary.low:.1f} to {summary.high:.1f}"
    numbers = (summary.std, summary.median, summary.min, summary.max)
    table.add_row(str(summary.episodes), f"{summary.mean:.1f}", interval, *(f"{x:.1f}" for x in numbers))
    Console().print(table)
