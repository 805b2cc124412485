"""How surely PPO and DQN solve CartPole-v1: ten seeds each, within 150,000 steps.

    python benchmarks/solving.py

Every 10,000 steps the policy plays 20 episodes with its best actions. A seed has solved the task at the first mean return
of at least 475. Settings are the defaults of the algorithms, the networks those of the policies.
"""

import sys
from typing import Any

import numpy as np
from jax import random as jr
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from perdure.algorithm import DQN, PPO
from perdure.env import make
from perdure.evaluation import evaluate
from perdure.policy import MLPActorCriticPolicy, MLPQPolicy

ENV, BUDGET, EVERY, TARGET = make("CartPole-v1"), 150_000, 10_000, 475.0


def curve(algorithm: Any, policy_class: Any, seed: int) -> list[float]:
    """Mean return over 20 episodes after every `EVERY` steps."""
    key_policy, key_learn, key_evaluate = jr.split(jr.key(seed), 3)
    state = algorithm.init(ENV, policy_class(ENV, key=key_policy), key=key_learn)
    means = []
    for step in range(EVERY, BUDGET + 1, EVERY):
        state = algorithm.run(state, step - algorithm.steps_taken(state))
        means.append(float(evaluate(state.policy, ENV, num_episodes=20, key=key_evaluate).mean()))
    return means


def main(seeds: int) -> None:
    table = Table(title=f"CartPole-v1, {seeds} seeds, {BUDGET:,} steps; steps to a mean return of {TARGET:.0f}")
    for column in ("algorithm", "solved", "median steps", "slowest", "final return, mean", "final return, lowest"):
        table.add_column(column, justify="left" if column == "algorithm" else "right")
    with Progress() as progress:
        for algorithm, policy_class in ((PPO(), MLPActorCriticPolicy), (DQN(), MLPQPolicy)):
            name = type(algorithm).__name__
            curves = [curve(algorithm, policy_class, seed) for seed in progress.track(range(seeds), description=name)]
            solved = [next((EVERY * (i + 1) for i, x in enumerate(c) if x >= TARGET), None) for c in curves]
            steps = [s for s in solved if s is not None]
            final = np.array([c[-1] for c in curves])
            times = (f"{np.median(steps):,.0f}", f"{max(steps):,}") if steps else ("-", "-")
            table.add_row(name, f"{len(steps)} of {seeds}", *times, f"{final.mean():.1f}", f"{final.min():.1f}")
    Console().print(table)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
