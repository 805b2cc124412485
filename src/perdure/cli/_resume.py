"""`perdure resume`: go on with a training that was interrupted, or for longer."""

import time
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console

from perdure._core import owning
from perdure.checkpoint import latest, load, verify
from perdure.env.adapter import HostEnv
from perdure.models import as_env

from ._cache import use_compilation_cache
from ._run import SAVES
from ._train import Run


def resume(
    path: tyro.conf.Positional[Path], total_timesteps: int | None = None, compilation_cache: bool = True
) -> None:
    """Go on with a training from its newest whole checkpoint, to the bit as if it had never stopped.

    Args:
        path: Folder that `perdure train` made.
        total_timesteps: Environment steps at which to end, counted from the very beginning; by default those asked for then.
        compilation_cache: Keep compiled functions in the user's cache folder for the next run.
    """
    use_compilation_cache(compilation_cache)
    if not (path / SAVES).is_dir():
        raise no_checkpoint(path)
    with owning(path):
        go_on(path, total_timesteps)


def no_checkpoint(path: Path) -> FileNotFoundError:
    return FileNotFoundError(
        f"There is no whole checkpoint in {path / SAVES}. Give a folder that `perdure train` made; "
        "with --checkpoints 0 it keeps none."
    )


def go_on(path: Path, total_timesteps: int | None) -> None:
    """Train from the newest whole checkpoint of a run that this process owns."""
    newest = latest(path / SAVES)
    if newest is None:
        raise no_checkpoint(path)
    head = verify(newest)
    run = run_of(path, newest, head["metadata"], total_timesteps)
    env = as_env(run.environment, num_envs=head["settings"]["num_envs"])
    host = env if isinstance(env, HostEnv) else None
    algorithm, state, _, has_buffer, *_ = load(newest, buffer="buffer_state.safetensors" in head["files"], env=host)
    left = run.total_timesteps - algorithm.steps_taken(state)
    if left <= 0:
        raise ValueError(
            f"{newest} is of step {algorithm.steps_taken(state)}, and {run.total_timesteps} were asked for. "
            "To train for longer, add --total-timesteps."
        )
    if not has_buffer:
        state = algorithm.refill(state, env=host)
    Console().print(f"Going on from step {head['steps']:,}, {newest}", highlight=False, markup=False, soft_wrap=True)
    began = time.perf_counter()
    state = algorithm.run(state, left, callbacks=run.callbacks(), env=host)
    run.finish(algorithm, state, env, time.perf_counter() - began)


def run_of(path: Path, newest: Path, metadata: dict[str, Any], total_timesteps: int | None) -> Run:
    """What the training was asked for. Raises: ValueError if the checkpoint does not tell, so is not of `perdure train`."""
    asked = {name: metadata.get(name) for name in ("environment", "total_timesteps", "seed", "checkpoints")}
    if total_timesteps is not None:
        asked["total_timesteps"] = total_timesteps
    match asked:
        case {
            "environment": str(env),
            "total_timesteps": int(total),
            "seed": int(seed),
            "checkpoints": int(checkpoints),
        }:
            return Run(path, env, total, seed, checkpoints)
    raise ValueError(
        f"{newest} was not saved by `perdure train`. Go on with it in Python: perdure.models.Agent.load({str(newest)!r})."
    )
