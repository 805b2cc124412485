"""One training of Stable-Baselines3 or sb3-contrib: settings as JSON in the first argument, the outcome as JSON out."""

import json
import sys
import time
from typing import Any

import numpy as np
import sb3_contrib
import stable_baselines3
import torch
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import VecNormalize

torch.set_num_threads(1)
asked = json.loads(sys.argv[1])
settings: dict[str, Any] = asked["settings"]


def downwards(start: float) -> Any:
    """A linear schedule to zero."""
    return lambda left: start * left


for name in asked.get("annealed", ()):
    settings[name] = downwards(settings[name])
if "noise" in settings:
    settings["action_noise"] = NormalActionNoise(np.zeros(1), settings.pop("noise") * np.ones(1))
settings["policy_kwargs"]["activation_fn"] = getattr(torch.nn, settings["policy_kwargs"]["activation_fn"])
env: Any = make_vec_env(asked["env"], asked["num_envs"], seed=asked["seed"])
if asked.get("normalize"):
    env = VecNormalize(env, gamma=settings["gamma"])
algorithm = getattr(stable_baselines3, asked["algorithm"], None) or getattr(sb3_contrib, asked["algorithm"])
model = algorithm("MlpPolicy", env, seed=asked["seed"], device="cpu", **settings)
began = time.perf_counter()
model.learn(asked["steps"])
seconds = time.perf_counter() - began
test_env: Any = make_vec_env(asked["env"], 1, seed=asked["seed"] + 1000)
if asked.get("normalize"):
    test_env = VecNormalize(test_env, training=False, norm_reward=False)
    test_env.obs_rms = env.obs_rms
mean, _ = evaluate_policy(model, test_env, n_eval_episodes=20)
print(json.dumps({"return": float(mean), "seconds": seconds}))
