"""rejax's PPO on gymnax's CartPole-v1 with the same sizes."""

import time

import jax
from _protocol import serve
from rejax import PPO

import_seconds = time.process_time()
STEPS = 131_072
algorithm = PPO.create(
    env="CartPole-v1",
    agent_kwargs={"hidden_layer_sizes": (64, 64), "activation": "tanh"},
    num_envs=4,
    num_steps=128,
    num_epochs=4,
    num_minibatches=4,
    learning_rate=2.5e-4,
    max_grad_norm=0.5,
    gamma=0.99,
    gae_lambda=0.95,
    clip_eps=0.2,
    ent_coef=0.01,
    vf_coef=0.5,
    total_timesteps=STEPS,
    eval_freq=STEPS,
    skip_initial_evaluation=True,
)
algorithm = algorithm.replace(eval_callback=lambda *arguments: ())  # an evaluation would be charged to training
compiled = None


def compile_() -> None:
    global compiled
    jax.clear_caches()
    compiled = jax.jit(PPO.train).lower(algorithm, jax.random.PRNGKey(0)).compile()


def run() -> int:
    jax.block_until_ready(compiled(algorithm, jax.random.PRNGKey(0)))
    return STEPS


state = jax.eval_shape(algorithm.init_state, jax.random.PRNGKey(0))
weights = sum(x.size for ts in (state.actor_ts, state.critic_ts) for x in jax.tree.leaves(ts.params))
serve({"import": import_seconds, "weights": weights}, compile_, run)
