"""Writes `files/sbx_*.zip` with the real SBX, and beside each what it answers: `python make_sbx.py`, with sbx-rl 0.28."""

import io
import json
import zipfile
from pathlib import Path

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import sbx
from gymnasium import spaces

UNREAD = ("actor", "vf", "qf", "ent_coef_state")  # as large as what is read, and not needed
FILES = Path(__file__).parent / "files"
FORCE = spaces.Box(np.array([-1, 0.5], np.float32), np.array([1, 80], np.float32))
BOX = spaces.Box(-np.inf, np.inf, (5,), np.float32)
GOAL = spaces.Dict([("z", spaces.Box(-1, 1, (2,), np.float32)), ("a", spaces.Box(-9, 9, (3,), np.float32))])
MODELS = {
    "ppo": ("PPO", "MlpPolicy", BOX, FORCE, {"n_steps": 8, "batch_size": 8}),
    "ppo_bits": ("PPO", "MlpPolicy", BOX, spaces.MultiBinary(3), {"n_steps": 8, "batch_size": 8}),
    "sac": ("SAC", "MultiInputPolicy", GOAL, FORCE, {"buffer_size": 10}),
    "dqn": ("DQN", "MlpPolicy", BOX, spaces.Discrete(4), {"buffer_size": 10}),
}


class World(gymnasium.Env):
    """Nothing but spaces."""

    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed=None, options=None):
        return self.observation_space.sample(), {}


def main():
    rng = np.random.default_rng(0)

    def random_like(x):
        fan_in = x.shape[-2] if x.ndim > 1 else 4
        return jnp.asarray(rng.normal(size=x.shape) * 1.4 / fan_in**0.5, jnp.float32)

    FILES.mkdir(exist_ok=True)
    for name, (algorithm, policy, observation_space, action_space, settings) in MODELS.items():
        env = World(observation_space, action_space)
        model = getattr(sbx, algorithm)(policy, env, seed=0, policy_kwargs={"net_arch": [8, 8]}, **settings)
        for state in ("actor_state", "vf_state", "qf_state"):
            if hasattr(model.policy, state):
                old = getattr(model.policy, state)
                setattr(model.policy, state, old.replace(params=jax.tree.map(random_like, old.params)))
        observation_space.seed(0)
        drawn = [observation_space.sample() for _ in range(12)]
        if policy == "MultiInputPolicy":
            observations = {key: np.stack([one[key] for one in drawn]) for key in drawn[0]}
            arrays = {f"observation.{key}": value for key, value in observations.items()}
        else:
            observations = np.stack(drawn)
            arrays = {"observation": observations}
        arrays["action"], _ = model.predict(observations, deterministic=True)
        if algorithm == "PPO":
            vf_state = model.policy.vf_state
            arrays["value"] = np.asarray(vf_state.apply_fn(vf_state.params, observations))[:, 0]
        np.savez(FILES / f"sbx_{name}.npz", **arrays)
        stream = io.BytesIO()
        model.save(stream)
        with zipfile.ZipFile(stream) as stored, zipfile.ZipFile(FILES / f"sbx_{name}.zip", "w", 8) as small:
            fields = {name: x for name, x in json.loads(stored.read("data")).items() if name not in UNREAD}
            small.writestr("data", json.dumps(fields))
            small.writestr("_stable_baselines3_version", stored.read("_stable_baselines3_version"))


if __name__ == "__main__":
    main()
