"""Files of Lerax (`.eqx`) with one of its MLP policies, as policies of ours.

Such a file holds the leaves of the policy one after the other as `.npy`, in the order of its fields: the spaces, then the
networks. Versions after 0.0.5 write a fingerprint of 32 bytes before them. It is a digest of the `repr` of Lerax's own
objects, so without Lerax it says nothing. Which layer is which follows from the settings that the policy was made with; as
in Lerax, they are given again, and each shape is checked.

    lerax                                               perdure
    encoder, relu between its layers                    body.trunk
    action_head.mlp, action_head.action_dist.mapping    actor; its last layer is the product of two without a function between
    value_head                                          critic
    q_network; network; mean_head and log_std_head      network

Lerax squashes its soft actions with a sigmoid, ours go through tanh: sigmoid(u) = (tanh(u / 2) + 1) / 2, so means and standard
deviations are halved, which is exact, and the distribution is the same.

Source: lerax 0.0.5 and its repository at 67006e1, `policy/`, `distribution/`, `utils.py`; Equinox 0.13,
`eqx.tree_serialise_leaves`.
"""

import itertools
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from perdure._core import FileFormatError, read_bytes
from perdure.network import MLP, Activation, TanhSpread
from perdure.policy import (
    AbstractPolicy,
    ActionHead,
    ActorCriticPolicy,
    Architecture,
    Body,
    DeterministicPolicy,
    HasSpaces,
    MLPActorCriticPolicy,
    MLPDeterministicPolicy,
    MLPQPolicy,
    MLPSACPolicy,
    QPolicy,
    SACPolicy,
    spaces_of,
)
from perdure.space import AbstractSpace, Box, Discrete, MultiBinary

from ._layers import mlp, product, stacked
from ._leaves import read_floats
from ._registry import loader
from ._report import ImportedPolicy, imported, naming
from ._tensors import Layer

LOG_STD = (-5.0, 2.0)  # between which Lerax keeps the natural logarithm of the standard deviations of soft actors


class _Leaves(NamedTuple):
    before: list[np.ndarray]  # bounds of the spaces, and what else stands before the networks
    layers: list[Layer]
    after: list[np.ndarray]


def _mlp_shapes(in_size: int, out_size: int, width: int, depth: int) -> list[tuple[int, int]]:
    """Of `eqx.nn.MLP`."""
    sizes = [in_size, *[width] * depth, out_size]
    return [(after, before) for before, after in itertools.pairwise(sizes)]


class _Model(NamedTuple):
    """What the file holds, and what the caller says of it."""

    numbers: list[np.ndarray]
    observation_space: AbstractSpace
    action_space: AbstractSpace
    settings: Mapping[str, int]
    notes: list[str]

    def body(self, trunk: MLP | None = None, activation: Activation = jnp.tanh) -> Body:
        sizes = () if trunk is None else tuple(len(layer.bias) for layer in trunk.layers)
        architecture = Architecture(trunk_sizes=sizes, activation=activation, initialization="uniform")
        return Body.of(self.observation_space, architecture, trunk=trunk)

    def split(self, shapes: list[tuple[int, int]], num_after: int, num_before: int = 0) -> _Leaves:
        """The linear layers of these shapes, and what stands around them: bounds, and as many leaves more as are given.

        Raises: FileFormatError naming the layers that are there, or how many leaves stand around them.
        """
        wanted = [shape for out, in_size in shapes for shape in ((out, in_size), (out,))]
        found = [leaf.shape for leaf in self.numbers]
        begin = next((i for i in range(len(found)) if found[i : i + len(wanted)] == wanted), None)
        if begin is None:
            there = ", ".join(str(list(shape)) for shape in found if len(shape) == 2)
            raise FileFormatError(
                f"its matrices are {there[:300]}, but those settings and spaces make "
                f"{', '.join(str(list(shape)) for shape in shapes)}. Give the settings that the policy was made with, under "
                "Lerax's names: feature_size=, width_size=, depth=, ..."
            )
        end = begin + len(wanted)
        num_before += 2 * sum(isinstance(space, Box) for space in (self.action_space, self.observation_space))
        if (begin, len(found) - end) != (num_before, num_after):
            raise FileFormatError(
                f"{begin} arrays stand before its networks and {len(found) - end} behind, where {num_before} and "
                f"{num_after} are usual. Is it of another policy class?"
            )
        parts = [leaf.astype(np.float32) for leaf in self.numbers[begin:end]]
        if not all(np.isfinite(part).all() for part in parts):
            raise FileFormatError("a weight is NaN or infinite, so the training had failed.")
        layers = [Layer(weight, bias) for weight, bias in zip(parts[::2], parts[1::2], strict=True)]
        return _Leaves(self.numbers[:begin], layers, self.numbers[end:])

    def bounds(self, own: Box, low: np.ndarray, high: np.ndarray) -> Box:
        """A Box as the file has it, which Lerax trains along with the weights."""
        box = Box(low.reshape(own.shape).astype(np.float32), high.reshape(own.shape).astype(np.float32))
        if not (np.allclose(box.low, own.low) and np.allclose(box.high, own.high)):
            self.notes.append(f"actions are scaled to {box}, as in the file, not to the environment's {own}")
        return box


def _given(model: _Model, **usual: int) -> dict[str, int]:
    """The settings, or Lerax's own defaults.

    Raises: TypeError for another name, ValueError for what is no size.
    """
    if unknown := sorted(set(model.settings) - set(usual)):
        raise TypeError(f"{unknown[0]!r} is no setting of it. Known: {', '.join(usual)}.")
    for name, value in model.settings.items():
        if not isinstance(value, int) or not 0 <= value < 2**20:
            raise ValueError(f"{name}={value!r}, but it is a number of units or layers.")
    return {**usual, **model.settings}


def _actor_critic(model: _Model) -> AbstractPolicy:
    given = _given(
        model,
        feature_size=16,
        feature_width=64,
        feature_depth=2,
        value_width=64,
        value_depth=2,
        action_width=64,
        action_depth=2,
    )
    size, head = given["feature_size"], ActionHead(model.action_space)
    encoder = _mlp_shapes(model.observation_space.flat_size, size, given["feature_width"], given["feature_depth"])
    critic = _mlp_shapes(size, 1, given["value_width"], given["value_depth"])
    actor = _mlp_shapes(size, size, given["action_width"], max(given["action_depth"] - 1, 0))
    shapes = [*encoder, *critic, *actor, (head.num_outputs, size)]
    leaves = model.split(shapes, num_after=int(head.log_std is not None))
    ends = list(itertools.accumulate(map(len, (encoder, critic, actor))))
    trunk = mlp(leaves.layers[: ends[0]], jax.nn.relu)
    *hidden, last = leaves.layers[ends[1] : ends[2]]
    if head.log_std is not None:
        log_std = jnp.asarray(leaves.after[0].reshape(head.log_std.shape), jnp.float32)
        head = ActionHead.of(model.action_space, log_std)
        model.notes.append("actions are clipped to the bounds, which Lerax leaves to the environment")
    return ActorCriticPolicy.of(
        model.body(trunk, jax.nn.relu),
        mlp([*hidden, product(last, leaves.layers[-1])], jax.nn.relu),
        mlp(leaves.layers[ends[0] : ends[1]], jax.nn.relu),
        head,
    )


def _q(model: _Model) -> AbstractPolicy:
    given = _given(model, width_size=64, depth=2)
    if not isinstance(model.action_space, Discrete):
        raise TypeError(f"action_space is {model.action_space}, but MLPQPolicy takes Discrete ones.")
    shapes = _mlp_shapes(model.observation_space.flat_size, model.action_space.n, given["width_size"], given["depth"])
    leaves = model.split(shapes, num_before=1, num_after=0)
    epsilon = min(max(float(leaves.before[-1].ravel()[0]), 0.0), 1.0)
    return QPolicy.of(model.body(), mlp(leaves.layers, jax.nn.relu), model.action_space, epsilon=epsilon)


def _bounded(model: _Model, name: str) -> Box:
    if not isinstance(model.action_space, Box) or not model.action_space.is_bounded:
        raise TypeError(f"action_space is {model.action_space}, but {name} takes a Box with finite bounds.")
    return model.action_space


def _sac(model: _Model) -> AbstractPolicy:
    given = _given(model, feature_size=256, width_size=256, depth=2)
    size, own = given["feature_size"], _bounded(model, "MLPSACPolicy")
    count = own.flat_size
    encoder = _mlp_shapes(model.observation_space.flat_size, size, given["width_size"], given["depth"])
    leaves = model.split([*encoder, (count, size), (count, size)], num_after=0)
    actions = model.bounds(own, *leaves.before[:2])
    *hidden, last, mean, log_std = leaves.layers
    halved = Layer(mean.weight / 2, mean.bias / 2)
    spread = TanhSpread(*(bound - math.log(2) for bound in LOG_STD))
    network = mlp([*hidden, product(last, stacked(halved, log_std))], jax.nn.relu, spread)
    return SACPolicy.of(model.body(), network, actions)


def _deterministic(model: _Model) -> AbstractPolicy:
    given = _given(model, width_size=256, depth=2)
    own = _bounded(model, "MLPDeterministicPolicy")
    shapes = _mlp_shapes(model.observation_space.flat_size, own.flat_size, given["width_size"], given["depth"])
    leaves = model.split(shapes, num_after=3)
    scale, bias = (leaf.astype(np.float64) for leaf in leaves.after[:2])
    network = mlp(leaves.layers, jnp.tanh, jnp.tanh)
    return DeterministicPolicy.of(model.body(), network, model.bounds(own, bias - scale, bias + scale))


_BUILD: dict[type, Callable[[_Model], AbstractPolicy]] = {
    MLPActorCriticPolicy: _actor_critic,
    MLPQPolicy: _q,
    MLPSACPolicy: _sac,
    MLPDeterministicPolicy: _deterministic,
}


def read_lerax(path: str | Path, policy_class: type, env: HasSpaces, **settings: int) -> ImportedPolicy:
    """A file that an MLP policy of Lerax wrote with `serialize`, as a policy that answers as it does without a key.

    `policy_class` is ours of the same name: MLPActorCriticPolicy, MLPQPolicy, MLPSACPolicy or MLPDeterministicPolicy. `env`
    has the spaces. As with Lerax's own `deserialize`, settings other than the defaults are given again, under its names:
    `load_lerax(path, MLPQPolicy, env, width_size=32)`.

    Raises: FileFormatError (a ValueError) naming the file and what does not fit; TypeError for another class, space or
    setting; FileNotFoundError.
    """
    if policy_class not in _BUILD:
        names = ", ".join(cls.__name__ for cls in _BUILD)
        raise TypeError(f"policy_class is {policy_class!r}, but files of Lerax are read as one of {names}.")
    observation_space, action_space = spaces_of(env)
    if not isinstance(observation_space, Box | MultiBinary):
        raise TypeError(
            f"observation_space is {observation_space}, which Lerax takes as plain numbers; Box and MultiBinary are read."
        )
    notes: list[str] = []
    with naming(path):
        numbers, has_fingerprint = read_floats(read_bytes(Path(path)))
        policy = _BUILD[policy_class](_Model(numbers, observation_space, action_space, settings, notes))
    if has_fingerprint:
        notes.append(
            "its fingerprint cannot be computed without Lerax: shapes were checked, functions are those of its class"
        )
    return imported(
        policy,
        file=path,
        library=f"Lerax {'after' if has_fingerprint else 'up to'} 0.0.5",
        algorithm="not in the file",
        source_class=f"lerax.policy.{policy_class.__name__}",
        notes=notes,
    )


load_lerax = loader(read_lerax)
