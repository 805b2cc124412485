"""Stable-Baselines3's PPO on Gymnasium's CartPole-v1 with the same sizes."""

import time

import torch
from _protocol import serve
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

import_seconds = time.process_time()
torch.set_num_threads(1)
STEPS = 8_192
model = PPO(
    "MlpPolicy",
    make_vec_env("CartPole-v1", 4),
    learning_rate=2.5e-4,
    n_steps=128,
    batch_size=128,
    n_epochs=4,
    ent_coef=0.01,
    device="cpu",
)


def run() -> int:
    model.learn(STEPS)
    return STEPS


weights = sum(p.numel() for p in model.policy.parameters())
serve({"import": import_seconds, "weights": weights}, lambda: None, run)
