"""`perdure quickstart`: train, save, load, export, prove and play, in about a minute."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from jax import random as jr
from rich.console import Console
from rich.table import Table

from perdure._core import import_extra, make_directories, owning
from perdure.algorithm import PPO
from perdure.callback import LearningCurve, ProgressBar
from perdure.checkpoint import save_policy
from perdure.env import make
from perdure.export import export
from perdure.models import new_policy
from perdure.policy import AbstractPolicy

from ._answers import answers
from ._cache import use_compilation_cache
from ._run import POLICY_FILE
from ._train import draw

TASK = "CartPole-v1"
SETTINGS: dict[str, Any] = {  # those of rl-baselines3-zoo for this task: every one of ten seeds ends at 500
    "learning_rate": 1e-3,
    "num_envs": 8,
    "num_steps": 32,
    "num_epochs": 20,
    "num_minibatches": 1,
    "discount": 0.98,
    "gae_lambda": 0.8,
    "entropy_weight": 0.0,
}


def quickstart(out: Path = Path("perdure-quickstart"), seed: int = 0, compilation_cache: bool = True) -> None:
    """Train PPO on CartPole, save, load, export to ONNX, prove it, and play the exported file in Gymnasium.

    Args:
        out: Folder for everything that is made; an earlier quickstart in it is replaced.
        seed: Of everything random.
        compilation_cache: Keep compiled functions in the user's cache folder for the next run.
    """
    for module, extra in (("onnx", "onnx"), ("onnxruntime", "onnx"), ("gymnasium", "gym")):
        import_extra(module, extra)  # better now than after the training
    use_compilation_cache(compilation_cache)
    make_directories(out)
    with owning(out):
        do_all(out, seed)


def do_all(out: Path, seed: int) -> None:
    """The four steps, in a folder that this process owns."""
    console, began = Console(highlight=False), time.perf_counter()
    steps, env = 100_000, make(TASK)
    algorithm = PPO(**SETTINGS, anneal_timesteps=steps, anneal_clip=True)
    key_policy, key_learn = jr.split(jr.key(seed))

    console.print(f"[bold]1. Train[/bold] PPO on {TASK} for {steps:,} steps")
    policy = new_policy(PPO, "mlp", env, key=key_policy)
    curve = LearningCurve(out / "learning_curve.csv", frequency=steps // 200)
    callbacks = [ProgressBar(), curve]
    policy = algorithm.learn(env, policy, total_timesteps=steps, key=key_learn, callbacks=callbacks)
    picture = draw(curve.path, f"PPO on {TASK}")

    console.print("[bold]2. Save[/bold] it, and load it in a fresh process")
    policy_file = out / POLICY_FILE
    save_policy(policy_file, policy, metadata={"environment": TASK, "algorithm": "PPO", "steps": steps, "seed": seed})
    check_fresh_process(policy, policy_file)

    console.print("[bold]3. Export[/bold] it to ONNX and prove it equal in onnxruntime")
    report = export(policy, out / "deploy", targets=["onnx"], force=True)

    console.print(f"[bold]4. Play[/bold] the exported file in Gymnasium's {TASK}, without JAX")
    played = run_program(
        [str(Path(__file__).with_name("_play_onnx.py")), str(out / "deploy" / "policy.onnx"), TASK, "20"]
    )
    returns = np.asarray(json.loads(played)["returns"])

    console.print()
    console.print(report)
    table = Table(title=f"20 episodes of {TASK}, played by policy.onnx", show_header=False)
    table.add_row("returns", " ".join(f"{x:.0f}" for x in returns))
    table.add_row("mean", f"{returns.mean():.1f}")
    console.print(table)
    console.print(f"policy          {policy_file}")
    console.print(f"learning curve  {curve.path}{picture}")
    console.print(f"deployable      {out / 'deploy'}")
    console.print(
        f"Done in {time.perf_counter() - began:.0f} s. Next: perdure evaluate {out}   perdure verify {out / 'deploy'}"
    )
    if returns.mean() < 475:
        raise ValueError(
            f"The exported policy has a mean return of {returns.mean():.1f}, below the 475 that solves {TASK}."
        )


def run_program(arguments: list[str]) -> str:
    """What another Python process prints.

    Raises: ChildProcessError with what it said when it failed.
    """
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise ChildProcessError(f"python {' '.join(arguments)} failed:\n{done.stderr}")
    return done.stdout


def check_fresh_process(policy: AbstractPolicy, path: Path) -> None:
    """Compare the actions of the policy here with those of its file, loaded by another process.

    Raises: ValueError if they differ.
    """
    here, there = answers(policy).tolist(), json.loads(run_program(["-m", "perdure.cli._answers", str(path)]))
    if here != there:
        count = sum(a != b for a, b in zip(here, there, strict=True))
        raise ValueError(f"{path}: the loaded policy acts differently on {count} of {len(here)} observations.")
