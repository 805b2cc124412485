"""Play a Gymnasium task with an exported policy: a program of its own that needs numpy, onnxruntime and gymnasium only.

    python _play_onnx.py policy.onnx CartPole-v1 20

prints the returns as JSON. It imports nothing of Perdure and no JAX, as a robot or a server would run it.
"""

import json
import sys

import gymnasium
import numpy as np
import onnxruntime


def play(model: str, task: str, episodes: int) -> list[float]:
    """The return of each episode; the first starts from seed 0, the next from seed 1, and so on."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    env, returns = gymnasium.make(task), []
    for seed in range(episodes):
        observation, _ = env.reset(seed=seed)
        total, done = 0.0, False
        while not done:
            (action,) = session.run(["action"], {"observation": np.asarray(observation)[None]})
            observation, reward, terminated, truncated, _ = env.step(action[0])
            total, done = total + float(reward), terminated or truncated
        returns.append(total)
    return returns


if __name__ == "__main__":
    path, name, count = sys.argv[1:]
    returns = play(path, name, int(count))
    print(json.dumps({"returns": returns, "jax_imported": "jax" in sys.modules}))
