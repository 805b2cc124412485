"""From process start to a solved CartPole-v1 with Stable-Baselines3; argument: seed.

Settings of rl-baselines3-zoo for PPO on CartPole-v1, its learning-rate and clip schedules over 100,000 steps.
"""

import sys

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

torch.set_num_threads(1)


class StopWhenSolved(BaseCallback):
    """Evaluates after every 2,048 steps, on 20 episodes, with the best actions."""

    def _on_step(self) -> bool:
        if self.num_timesteps % 2_048:
            return True
        mean, _ = evaluate_policy(self.model, make_vec_env("CartPole-v1", 20), n_eval_episodes=20)
        return float(mean) < 475


model = PPO(
    "MlpPolicy",
    make_vec_env("CartPole-v1", 8, seed=int(sys.argv[1])),
    seed=int(sys.argv[1]),
    n_steps=32,
    batch_size=256,
    gae_lambda=0.8,
    gamma=0.98,
    n_epochs=20,
    ent_coef=0.0,
    learning_rate=lambda left: 0.001 * left,
    clip_range=lambda left: 0.2 * left,
    device="cpu",
)
model.learn(100_000, callback=StopWhenSolved())
print(model.num_timesteps)
