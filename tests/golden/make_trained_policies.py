"""Trains the small policies of this folder, which tests of quantised exports play with.

    python tests/golden/make_trained_policies.py

A file is replaced only by a policy that solves its task: what int8 costs cannot be seen on one that does not.
"""

from pathlib import Path

from jax import random as jr

from perdure.algorithm import DQN, PPO, SAC
from perdure.checkpoint import save_policy
from perdure.env import make
from perdure.evaluation import evaluate
from perdure.policy import MLPActorCriticPolicy, MLPQPolicy, MLPSACPolicy

# environment: algorithm, policy, steps, mean return of 100 episodes that counts as solved
TASKS = {
    "CartPole-v1": (PPO(), MLPActorCriticPolicy, {"hidden_sizes": (32, 32)}, 150_000, 490.0),
    "Acrobot-v1": (DQN(), MLPQPolicy, {"hidden_sizes": (32, 32)}, 150_000, -90.0),
    "Pendulum-v1": (SAC(), MLPSACPolicy, {"hidden_sizes": (32, 32)}, 30_000, -200.0),
}

if __name__ == "__main__":
    for name, (algorithm, policy_class, settings, steps, solved) in TASKS.items():
        env = make(name)
        for seed in range(5):
            key_policy, key_learn, key_play = jr.split(jr.key(seed), 3)
            fresh = policy_class(env, **settings, key=key_policy)
            state = algorithm.train(env, fresh, total_timesteps=steps, key=key_learn)
            mean = float(evaluate(state.policy, env, num_episodes=100, key=key_play).mean())
            print(f"{name}, seed {seed}: {mean:.1f}", flush=True)
            if mean >= solved:
                metadata = {"environment": name, "algorithm": type(algorithm).__name__, "seed": seed, "steps": steps}
                save_policy(Path(__file__).parent / f"trained_{name}", state.policy, metadata=metadata)
                break
