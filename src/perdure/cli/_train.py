"""`perdure train`: train a policy, leave it as a self-describing file with its learning curve."""

import dataclasses
import shutil
import time
from pathlib import Path

import tyro
from jax import random as jr
from rich.console import Console

from perdure import models
from perdure._core import MissingExtraError, make_directories, owning
from perdure.algorithm import AbstractAlgorithm, TrainState
from perdure.callback import AbstractCallback, LearningCurve, ProgressBar, plot_learning_curve
from perdure.checkpoint import SaveCheckpoints, save_policy
from perdure.env import AbstractEnv
from perdure.env.adapter import HostEnv
from perdure.evaluation import evaluate, summarize
from perdure.policy import AbstractBodyRecord, MLPBody

from ._cache import use_compilation_cache
from ._run import CURVE_FILE, POLICY_FILE, SAVES, check_no_policy

FLAT = MLPBody()


def train(
    algorithm: AbstractAlgorithm,
    env: tyro.conf.Positional[str],
    body: AbstractBodyRecord = FLAT,
    total_timesteps: int = 100_000,
    seed: int = 0,
    out: Path | None = None,
    checkpoints: int = 10,
    force: bool = False,
    compilation_cache: bool = True,
) -> None:
    """Train a policy and save it with its learning curve. `perdure resume` goes on where an interrupted training stopped.

    Args:
        algorithm: What learns; its settings are flags.
        env: Name of the environment, e.g. CartPole-v1; what is not among ours is taken from Gymnasium.
        body: What the policy is made of before its heads; a memory with recurrent and liquid.
        total_timesteps: Environment steps, all environments together.
        seed: Of everything random; the same seed gives the same policy to the bit.
        out: Folder for the result; runs/ALGORITHM-ENV by default.
        checkpoints: How many times the whole training state is saved on the way, of which the last two stay; 0 for never.
        force: Replace an earlier result in that folder.
        compilation_cache: Keep compiled functions in the user's cache folder for the next run.
    """
    use_compilation_cache(compilation_cache)
    out = out or Path("runs") / f"{type(algorithm).__name__.lower()}-{env}"
    check_free(out, force)
    environment = models.as_env(env, num_envs=algorithm.num_envs)
    key_policy, key_learn, _ = jr.split(jr.key(seed), 3)
    fresh = models.new_policy(type(algorithm), body, environment, key=key_policy)
    run = Run(out, env, total_timesteps, seed, checkpoints)
    make_directories(out)
    with owning(out):
        check_free(out, force)  # others may have begun and ended meanwhile
        remove_earlier(out)
        began = time.perf_counter()
        state = algorithm.train(
            environment, fresh, total_timesteps=total_timesteps, key=key_learn, callbacks=run.callbacks()
        )
        run.finish(algorithm, state, environment, time.perf_counter() - began)


def check_free(out: Path, force: bool) -> None:
    """Raises: FileExistsError for a folder with an earlier result, or with a training that did not end, unless `force`."""
    check_no_policy(out, force)
    if (out / SAVES).exists() and not force:
        raise FileExistsError(
            f"{out} holds a training that did not end. Go on with it: perdure resume {out}. Or choose another folder "
            "with --out, or replace it with --force."
        )


def remove_earlier(out: Path) -> None:
    """Remove an earlier result, so that nothing of it is taken for one of the training that begins."""
    for name in (POLICY_FILE, CURVE_FILE, Path(CURVE_FILE).with_suffix(".png")):
        (out / name).unlink(missing_ok=True)
    if (out / SAVES).exists():
        shutil.rmtree(out / SAVES)


@dataclasses.dataclass(frozen=True)
class Run:
    """What a training was asked for; with every checkpoint, so that it can be gone on with."""

    out: Path
    environment: str
    total_timesteps: int
    seed: int
    checkpoints: int

    def callbacks(self) -> list[AbstractCallback]:
        """What watches the training and saves it."""
        curve = LearningCurve(self.out / CURVE_FILE, frequency=max(self.total_timesteps // 200, 1))
        watching: list[AbstractCallback] = [ProgressBar(), curve]
        if self.checkpoints:
            asked = {name: value for name, value in dataclasses.asdict(self).items() if name != "out"}
            frequency = max(self.total_timesteps // self.checkpoints, 1)
            saver = SaveCheckpoints(
                self.out.name,
                directory=self.out.parent,
                frequency=frequency,
                buffer=True,
                keep_last=2,
                metadata=asked,
            )
            watching.append(saver)
        return watching

    def finish(
        self, algorithm: AbstractAlgorithm, state: TrainState, env: AbstractEnv | HostEnv, seconds: float
    ) -> None:
        """Evaluate what was learned, save the policy, draw its curve, and say so."""
        console, steps = Console(), algorithm.steps_taken(state)
        key = jr.split(jr.key(self.seed), 3)[2]
        summary = summarize(evaluate(state.policy, env, num_episodes=20, key=key))
        metadata = {
            "environment": self.environment,
            "algorithm": type(algorithm).__name__,
            "settings": dataclasses.asdict(algorithm),
            "steps": steps,
            "seed": self.seed,
            "evaluation": summary._asdict(),
        }
        save_policy(self.out / POLICY_FILE, state.policy, metadata=metadata)
        name, curve = type(algorithm).__name__, self.out / CURVE_FILE
        console.print(f"Trained {name} on {self.environment} for {steps:,} steps in {seconds:.1f} s; {summary}.")
        console.print(f"  policy          {self.out / POLICY_FILE}")
        console.print(f"  learning curve  {curve}{draw(curve, f'{name} on {self.environment}')}")
        if steps < self.total_timesteps and self.checkpoints:
            console.print(f"Go on: perdure resume {self.out}", highlight=False)
        console.print(
            f"Next: perdure evaluate {self.out}   or   perdure export {self.out} --to onnx --out deploy",
            highlight=False,
        )


def draw(csv_path: Path, title: str) -> str:
    """Draw the curve beside its CSV; what to add to the line that says where the CSV is."""
    png_path = csv_path.with_suffix(".png")
    try:
        plot_learning_curve(csv_path, png_path, title=title)
    except (MissingExtraError, ValueError) as error:
        return f"  (no picture: {error})"
    return f", {png_path.name}"
