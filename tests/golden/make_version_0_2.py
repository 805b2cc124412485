"""Makes `version_0_2`: what version 0.2 of Perdure wrote, which had new classes and described whole trainings. Run it once.

    python -m tests.golden.make_version_0_2

See `make_first_version`, whose policies and trainings these are, with what is new beside them.
"""

import json
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
from jax import random as jr

import perdure.policy
from perdure.algorithm import PPO, REINFORCE
from perdure.checkpoint import save, save_policy
from perdure.env.probe import ActOnMemory, Truncation
from perdure.env.wrapper import NormalizeReward, TimeLimit
from perdure.graph import Graph, GraphFunction, Tensor, constant, emit
from perdure.network import MLP
from perdure.policy import ActorCriticPolicy, CNNBody, LiquidBody, MLPBody, RecurrentBody, frozen
from perdure.utils import Serializable, register
from tests.golden import make_first_version as first
from tests.golden.make_first_version import POLICIES, Spaces, answers, unlike_zero

FOLDER = Path(__file__).parent / "version_0_2"
POLICIES_AGAIN = (
    *("MLPActorCritic", "CNNQ", "RecurrentActorCritic", "LiquidSAC", "RecurrentQuantileQ", "MLPDeterministic"),
    *("RecurrentDeterministic", "MLPQ", "MLPQuantileQ", "MLPSAC", "RecurrentQ"),
)
TRAININGS_AGAIN = ("PPO", "DQN", "TD3", "DDPG", "SAC")


@register(name="golden.Records")
class Records(Serializable):
    records: tuple = eqx.field(static=True)


def graph_like(trunk: MLP) -> GraphFunction:
    """The one layer of a trunk as a graph."""
    x, (layer,) = Tensor((trunk.in_size,), np.float32, "x"), trunk.layers
    weights = (constant(np.asarray(array), name) for name, array in vars(layer).items())
    return GraphFunction.from_graph(Graph([x], [("y", emit("Dense", x, *weights, activation="Tanh"))]))


def new_policies() -> dict[str, eqx.Module]:
    """What the first version did not have."""
    small = {"hidden_sizes": (4,)}
    critic = RecurrentBody(memory_size=3, trunk_sizes=(3,), keys=("leg",), **small)
    separate = ActorCriticPolicy(
        Spaces("dict", "choice"), MLPBody(keys=("leg",), **small), critic_body=critic, key=jr.key(4)
    )
    trunk = ActorCriticPolicy(Spaces("vector", "force"), MLPBody(shared=True, hidden_sizes=(3,)), key=jr.key(5))
    trunk = eqx.tree_at(lambda p: p.body.trunk, trunk, graph_like(trunk.body.trunk))
    return {
        "separate_bodies": frozen(separate, lambda p: p.actor),
        "graph_trunk": trunk,
        "records": Records((MLPBody(shared=True), CNNBody(), RecurrentBody(cell="lstm"), LiquidBody(num_motor=2))),
    }


def new_trainings() -> dict:
    """Algorithm, environment, class and settings of the policy, as in `make_first_version`."""
    actor_critic, memory = perdure.policy.RecurrentActorCriticPolicy, {"memory_size": 3, "hidden_sizes": (4,)}
    scaled = NormalizeReward(TimeLimit(Truncation(), max_episode_steps=5))
    both = {"body": RecurrentBody(cell="lstm", **memory), "critic_body": MLPBody(hidden_sizes=(4,))}
    return {
        "REINFORCE": (REINFORCE(num_envs=2), scaled, perdure.policy.MLPActorCriticPolicy, {"hidden_sizes": (4,)}),
        "PPO-memory": (PPO(num_envs=4, num_steps=4), ActOnMemory(), actor_critic, memory),
        "PPO-separate": (PPO(num_envs=4, num_steps=4), ActOnMemory(), ActorCriticPolicy, both),
    }


if __name__ == "__main__":
    expected: dict[str, dict] = {"policies": {}, "trainings": {}}
    for name in POLICIES_AGAIN:
        observation, action, settings = POLICIES[name]
        policy = getattr(perdure.policy, f"{name}Policy")(Spaces(observation, action), **settings, key=jr.key(3))
        policy = jax.tree.map(unlike_zero, policy)
        save_policy(FOLDER / name, policy)
        policy.serialize(FOLDER / name)
        expected["policies"][name] = answers(policy)
    for name, policy in new_policies().items():
        save_policy(FOLDER / name, policy)
        if name != "records":
            expected["policies"][name] = answers(policy)
    old = first.trainings()
    for name, (algorithm, env, cls, settings) in {**{n: old[n] for n in TRAININGS_AGAIN}, **new_trainings()}.items():
        state = algorithm.init(env, cls(env, **settings, key=jr.key(0)), key=jr.key(1))
        state = algorithm.run(state, 4 * algorithm.steps_per_iteration)
        save(FOLDER / "trainings" / name, algorithm, state, buffer=hasattr(state, "buffer"))
        state = algorithm.run(state, 3 * algorithm.steps_per_iteration)
        expected["trainings"][name] = answers(state.policy)
    (FOLDER / "expected.json").write_text(json.dumps(expected, indent=1))
