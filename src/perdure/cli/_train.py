"""`perdure train`: train a policy, leave it as a self-describing file with its learning curve."""

import dataclasses
import time
from pathlib import Path
from typing import Annotated, Any

import jax
import tyro
from jax import random as jr
from rich.console import Console

from perdure import models
from perdure._core import MissingExtraError, lookup
from perdure.algorithm import (
    A2C,
    DDPG,
    DQN,
    PPO,
    QRDQN,
    REINFORCE,
    SAC,
    TD3,
    TQC,
    AbstractAlgorithm,
    DiscreteSAC,
)
from perdure.callback import LearningCurve, ProgressBar, plot_learning_curve
from perdure.checkpoint import save_policy
from perdure.evaluation import evaluate, summarize
from perdure.policy import HasSpaces

from ._cache import use_compilation_cache
from ._run import POLICY_FILE

Algorithm = (
    Annotated[PPO, tyro.conf.subcommand("ppo")]
    | Annotated[A2C, tyro.conf.subcommand("a2c")]
    | Annotated[REINFORCE, tyro.conf.subcommand("reinforce")]
    | Annotated[DQN, tyro.conf.subcommand("dqn")]
    | Annotated[QRDQN, tyro.conf.subcommand("qrdqn")]
    | Annotated[DDPG, tyro.conf.subcommand("ddpg")]
    | Annotated[TD3, tyro.conf.subcommand("td3")]
    | Annotated[SAC, tyro.conf.subcommand("sac")]
    | Annotated[TQC, tyro.conf.subcommand("tqc")]
    | Annotated[DiscreteSAC, tyro.conf.subcommand("discrete-sac")]
)


@dataclasses.dataclass(frozen=True)
class PolicySettings:
    """What the policy is made of."""

    kind: models.Kind = "mlp"  # cnn for images, recurrent and liquid have a memory
    hidden_sizes: tuple[int, ...] = (64, 64)  # units of the hidden layers
    activation: str = "tanh"  # by registered name: tanh, relu, silu, gelu, ...
    normalize_observation: bool = False  # subtract the running mean, divide by the running deviation


def train(
    algorithm: Algorithm,
    env: tyro.conf.Positional[str],
    policy: PolicySettings = PolicySettings(),
    total_timesteps: int = 100_000,
    seed: int = 0,
    out: Path | None = None,
    force: bool = False,
    compilation_cache: bool = True,
) -> None:
    """Train a policy and save it with its learning curve.

    Args:
        algorithm: What learns; its settings are flags.
        env: Name of the environment, e.g. CartPole-v1; what is not among ours is taken from Gymnasium.
        policy: What the policy is made of.
        total_timesteps: Environment steps, all environments together.
        seed: Of everything random; the same seed gives the same policy to the bit.
        out: Folder for the result; runs/ALGORITHM-ENV by default.
        force: Replace an earlier result in that folder.
        compilation_cache: Keep compiled functions in the user's cache folder for the next run.
    """
    use_compilation_cache(compilation_cache)
    console = Console()
    out = out or Path("runs") / f"{type(algorithm).__name__.lower()}-{env}"
    if (out / POLICY_FILE).exists() and not force:
        raise FileExistsError(
            f"{out / POLICY_FILE} exists. Choose another folder with --out, or replace it with --force."
        )
    environment = models.as_env(env, num_envs=algorithm.num_envs)
    key_policy, key_learn, key_evaluate = jr.split(jr.key(seed), 3)
    fresh = new_policy(algorithm, environment, policy, key_policy)
    curve = LearningCurve(out / "learning_curve.csv", frequency=max(total_timesteps // 200, 1))
    began = time.perf_counter()
    state: Any = algorithm.train(
        environment, fresh, total_timesteps=total_timesteps, key=key_learn, callbacks=[ProgressBar(), curve]
    )
    seconds, steps = time.perf_counter() - began, algorithm.steps_taken(state)
    summary = summarize(evaluate(state.policy, environment, num_episodes=20, key=key_evaluate))
    metadata = {
        "environment": env,
        "algorithm": type(algorithm).__name__,
        "settings": dataclasses.asdict(algorithm),
        "steps": steps,
        "seed": seed,
        "evaluation": summary._asdict(),
    }
    save_policy(out / POLICY_FILE, state.policy, metadata=metadata)
    console.print(f"Trained {type(algorithm).__name__} on {env} for {steps:,} steps in {seconds:.1f} s; {summary}.")
    console.print(f"  policy          {out / POLICY_FILE}")
    console.print(f"  learning curve  {curve.path}{draw(curve.path, f'{type(algorithm).__name__} on {env}')}")
    console.print(f"Next: perdure evaluate {out}   or   perdure export {out} --to onnx --out deploy", highlight=False)


def new_policy(algorithm: AbstractAlgorithm, env: HasSpaces, settings: PolicySettings, key: jax.Array) -> Any:
    """A fresh policy of the kind that the algorithm trains."""
    keywords = {
        "hidden_sizes": settings.hidden_sizes,
        "activation": lookup(settings.activation, "function"),
        "normalize_observation": settings.normalize_observation,
    }
    return models.new_policy(type(algorithm), settings.kind, env, **keywords, key=key)


def draw(csv_path: Path, title: str) -> str:
    """Draw the curve beside its CSV; what to add to the line that says where the CSV is."""
    png_path = csv_path.with_suffix(".png")
    try:
        plot_learning_curve(csv_path, png_path, title=title)
    except (MissingExtraError, ValueError) as error:
        return f"  (no picture: {error})"
    return f", {png_path.name}"
