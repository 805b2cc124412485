"""Writes `files/ppo_cartpole.zip`, a model of PPO that has learned half of what there is: `python make_ppo.py`."""

import io
import zipfile
from pathlib import Path

import stable_baselines3

if __name__ == "__main__":
    settings = {"n_steps": 256, "batch_size": 64, "n_epochs": 6, "seed": 2, "device": "cpu"}
    model = stable_baselines3.PPO("MlpPolicy", "CartPole-v1", **settings).learn(8_000)
    stream = io.BytesIO()
    model.save(stream)
    path = Path(__file__).parent / "files" / "ppo_cartpole.zip"
    with zipfile.ZipFile(stream) as whole, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as small:
        for name in whole.namelist():
            if name != "policy.optimizer.pth":  # twice as large as all else
                small.writestr(name, whole.read(name))
