"""What directories of format 1 do not say: the description of their training state, from what is known of that format.

It described policy and environment alone; all else was arrays by path, the states of optimisers as optax had them, those of
PPO with one vector for all parameters. What is written here are facts about files that exist: it never changes, whatever
becomes of the classes, since each class is named as it was then and brought to today's version by its history.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from perdure._core import describe_leaf, leaf_nodes

from ._first_optimizers import by_parameter
from ._state import tree_of_paths

Node = Any  # of a description, as JSON has it
Arrays = Mapping[str, np.ndarray]
_LEARNERS = {
    "algorithm.QLearner": ("policy", "target", "optimizer_state", "updates", "critics"),
    "algorithm.DeterministicLearner": (
        *("policy", "critics", "policy_target", "critics_target", "policy_optimizer", "critics_optimizer", "updates"),
    ),
    "algorithm.SoftLearner": (
        *("policy", "critics", "critics_target", "policy_optimizer", "critics_optimizer", "log_temperature"),
        "temperature_optimizer",
    ),
}
_LEARNER_OF = {
    **dict.fromkeys(("algorithm.DQN", "algorithm.QRDQN"), "algorithm.QLearner"),
    **dict.fromkeys(("algorithm.DDPG", "algorithm.TD3"), "algorithm.DeterministicLearner"),
    **dict.fromkeys(("algorithm.SAC", "algorithm.TQC", "algorithm.DiscreteSAC"), "algorithm.SoftLearner"),
}
_ON_POLICY = ("env", "policy", "optimizer_state", "rollout", "reward_scale", "key", "iteration")
_OFF_POLICY = ("env", "learner", "buffer", "priorities", "rollout", "reward_scale", "key", "iteration")
_ROLLOUT = ("env_state", "observation", "policy_state", "episode_return", "episode_length")
_TRANSITION = (
    *("observation", "action", "reward", "next_observation", "terminated", "truncated", "policy_state", "action_mask"),
    *("next_action_mask", "extras"),
)
_ENV_STATES = {  # by the class of the wrapper
    "env.TimeLimit": ("env.TimeLimitState", ("env_state", "steps")),
    "env.FrameStack": ("env.FrameStackState", ("env_state", "frames")),
    "env.NormalizeObservation": ("env.NormalizedState", ("env_state", "statistics")),
    "env.NormalizeReward": ("env.NormalizedRewardState", ("env_state", "statistics", "discounted_sum")),
}


def settings_since(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of an algorithm, with what the first files of off-policy ones do not have, as they did without it."""
    return {**({"anneal_timesteps": None} if name in _LEARNER_OF else {}), **settings}


def described_since(head: Mapping[str, Any], arrays: Arrays, today: Mapping[str, str]) -> tuple[Node, dict[str, Any]]:
    """The description of the training state of format 1, and its arrays by the paths of format 2.

    `today` are the paths of both formats by those that the installed optax has in format 1: for optimisers of others.

    Raises: FileFormatError for a vector of moments that does not fit the parameters.
    """
    arrays = by_parameter(head, arrays, today)
    return _State(head, arrays).whole(), arrays


class _State:
    """The parts of a training state, by where they are."""

    def __init__(self, head: Mapping[str, Any], arrays: Arrays):
        self.head, self.arrays = head, arrays

    def below(self, prefix: str) -> dict[str, Node]:
        """The leaves of a part by their paths in it; the part itself, if it is one leaf, by an empty path."""
        inside = {p: a for p, a in self.arrays.items() if p == prefix or p.startswith(f"{prefix}.")}
        return {path[len(prefix) + 1 :]: describe_leaf(array) for path, array in inside.items()}

    def at(self, prefix: str) -> Node:
        """A part of no class of ours: leaves by path; None where there are none."""
        leaves = self.below(prefix)
        return tree_of_paths(leaves) if leaves else None

    def instance(self, name: str, fields: Sequence[str], prefix: str, **nodes: Node) -> Node:
        """A part of a class of ours, with some of its fields given."""
        if not self.below(prefix):
            return None
        pairs = [[field, nodes[field] if field in nodes else self.at(f"{prefix}.{field}")] for field in fields]
        return {"class": name, "fields": pairs}

    def whole(self) -> Node:
        is_off_policy = any(path.startswith("learner.") for path in self.arrays)
        nodes = {
            "env": self.head["env"] if self.head["env"] is not None else self.at("env"),
            "rollout": self.rollout(),
            "reward_scale": self.reward_scale(),
            "learner": self.learner(),
            "buffer": self.buffer(),
            "priorities": self.priorities(),
            "policy": self.head["policy"],
        }
        name, fields = ("OffPolicyState", _OFF_POLICY) if is_off_policy else ("OnPolicyState", _ON_POLICY)
        names = {path.split(".")[0] for path in self.arrays}
        if not names <= {*fields}:  # a state of the user's own
            return {"dict": {name: nodes.get(name, self.at(name)) for name in sorted(names)}}
        pairs = [[field, nodes[field] if field in nodes else self.part(field, "")] for field in fields]
        return {"class": f"algorithm.{name}", "fields": pairs}

    def part(self, name: str, prefix: str) -> Node:
        """A field of a state or learner: networks, what has their structure, or anything else."""
        path = f"{prefix}{name}"
        if name == "policy":
            return self.head["policy"]
        if name == "critics":
            return self.critics(path)
        if name.endswith("optimizer") or name == "optimizer_state":
            return self.optimizer(path, self.network(name.removesuffix("_optimizer"), prefix))
        if name in ("target", "policy_target", "critics_target"):
            return like(self.network(name.removesuffix("_target"), prefix), self.below(path))
        return self.at(path)

    def network(self, name: str, prefix: str) -> Node:
        """What a target or optimiser of that name belongs to."""
        if name == "critics":
            return self.critics(f"{prefix}critics")
        return None if name == "temperature" else self.head["policy"]

    def optimizer(self, prefix: str, parameters: Node) -> Node:
        """The state of an optimiser, each of its moments with the structure of the parameters."""
        names = sorted({tuple(path.split(".")[:2]) for path in self.below(prefix)})
        stages: dict[str, dict[str, Node]] = {}
        for stage, field in (name for name in names if len(name) == 2):
            leaves = self.below(f"{prefix}.{stage}.{field}")
            stages.setdefault(stage, {})[field] = tree_of_paths(leaves) if "" in leaves else like(parameters, leaves)
        return {"dict": {stage: {"dict": members} for stage, members in stages.items()}}

    def learner(self) -> Node:
        name = _LEARNER_OF.get(self.head["algorithm"])
        found = {path.split(".")[0] for path in self.below("learner")}
        if name is None or not found <= {*_LEARNERS[name]}:
            return {"dict": {field: self.part(field, "learner.") for field in sorted(found)}}
        return {"class": name, "fields": [[field, self.part(field, "learner.")] for field in _LEARNERS[name]]}

    def critics(self, prefix: str) -> Node:
        """Critics had the body that the architecture of their policy says, and hidden layers like its."""
        count = len({path.split(".")[0] for path in self.below(prefix)})
        policy = _fields(self.head["policy"])
        spaces = [[name, policy.get(name)] for name in ("observation_space", "action_space")]
        body = _as_constructed(policy.get("body"))
        network = _with_fields(policy.get("network"), final_activation={"function": "identity"})
        critics = []
        for i in range(count):
            parts = [("body", body), ("network", network)]
            pairs = [[name, like(node, self.below(f"{prefix}.{i}.{name}"), exactly=True)] for name, node in parts]
            critics.append({"class": "QFunction", "fields": [*spaces, *pairs]})
        return critics or None

    def rollout(self) -> Node:
        env_state = self.env_state(self.head["env"], "rollout.env_state")
        policy_state = self.memory("rollout.policy_state")
        return self.instance("algorithm.Rollout", _ROLLOUT, "rollout", env_state=env_state, policy_state=policy_state)

    def env_state(self, env: Node, prefix: str) -> Node:
        name, fields = env.get("class") if isinstance(env, dict) else None, _fields(env)
        if name in _ENV_STATES:
            inner = self.env_state(fields.get("env"), f"{prefix}.env_state")
            statistics = self.instance("env.RunningStatistics", ("mean", "variance", "weight"), f"{prefix}.statistics")
            return self.instance(*_ENV_STATES[name], prefix, env_state=inner, statistics=statistics)
        if "env" in fields:
            return self.env_state(fields["env"], prefix)
        if isinstance(name, str) and name.startswith("probe."):
            return self.instance("probe.ProbeState", ("sign", "steps"), prefix)
        return self.at(prefix)

    def memory(self, prefix: str) -> Node:
        if f"{prefix}.memory" not in self.arrays and not self.below(f"{prefix}.memory"):
            return self.at(prefix)
        return self.instance("MemoryState", ("memory",), prefix, memory=self.cells(f"{prefix}.memory"))

    def cells(self, prefix: str) -> Node:
        names = {path.split(".")[0] for path in self.below(prefix)}
        if names == {"hidden", "cell"}:
            return self.instance("LSTMState", ("hidden", "cell"), prefix)
        if names and all(name.isdecimal() for name in names):
            return [self.cells(f"{prefix}.{i}") for i in range(len(names))]
        return self.at(prefix)

    def reward_scale(self) -> Node:
        arrays = ("mean", "variance", "count")
        statistics = self.instance(
            "Normalizer", (*arrays, "clip", "epsilon"), "reward_scale.statistics", clip=10.0, epsilon=1e-8
        )
        fields = ("statistics", "discounted_sum")
        return self.instance("algorithm.RewardScale", fields, "reward_scale", statistics=statistics)

    def buffer(self) -> Node:
        policy_state = self.memory("buffer.data.policy_state")
        data = self.instance("algorithm.Transition", _TRANSITION, "buffer.data", policy_state=policy_state)
        return self.instance("algorithm.Buffer", ("data", "blocks_written"), "buffer", data=data)

    def priorities(self) -> Node:
        count = len({path.split(".")[0] for path in self.below("priorities.tree.levels")})
        levels = [self.at(f"priorities.tree.levels.{i}") for i in range(count)]
        tree = self.instance("algorithm.SumTree", ("levels",), "priorities.tree", levels=levels)
        return self.instance("algorithm.Priorities", ("tree", "highest"), "priorities", tree=tree)


def _fields(node: Node) -> dict[str, Node]:
    return dict(node["fields"]) if isinstance(node, dict) and "fields" in node else {}


def _with_fields(node: Node, **fields: Node) -> Node:
    """An instance with some of its fields replaced; anything else as it is."""
    if not isinstance(node, dict) or "fields" not in node:
        return node
    return {**node, "fields": [[name, fields.get(name, member)] for name, member in node["fields"]]}


def _as_constructed(body: Node) -> Node:
    """A body with the activations that its architecture says, whatever an importer gave to the layers of the policy's own."""
    architecture = _fields(_fields(body).get("architecture"))
    activation, convolutions = architecture.get("activation"), _fields(architecture.get("convolutions"))
    trunk = _with_fields(_fields(body).get("trunk"), activation=activation, final_activation=activation)
    cnns = _fields(body).get("cnns")
    if isinstance(cnns, list):
        cnns = [_with_fields(cnn, activation=convolutions.get("activation")) for cnn in cnns]
    return _with_fields(body, trunk=trunk, cnns=cnns)


def like(node: Node, leaves: Mapping[str, Node], *, exactly: bool = False) -> Node:
    """A part with the structure of another one: the same description, with these leaves, and None for all others.

    Leaves by path alone where the other one has not all of these, or `exactly` these.
    """
    there = {path for path, _ in leaf_nodes(node)}
    if not leaves.keys() <= there or (exactly and leaves.keys() != there):
        return tree_of_paths(leaves) if leaves else None
    return _replaced(node, "", leaves)


def _replaced(node: Node, path: str, leaves: Mapping[str, Node]) -> Node:
    def member(name: object, inner: Node) -> Node:
        return _replaced(inner, f"{path}.{name}" if path else str(name), leaves)

    match node:
        case {"leaf": _}:
            return leaves.get(path)
        case {"class": _, "fields": list(pairs)}:
            return {**node, "fields": [[name, member(name, inner)] for name, inner in pairs]}
        case {"dict": dict(members)}:
            return {"dict": {name: member(name, inner) for name, inner in members.items()}}
        case {"list": list(members)}:
            return {"list": [member(i, inner) for i, inner in enumerate(members)]}
        case list():
            return [member(i, inner) for i, inner in enumerate(node)]
    return node
