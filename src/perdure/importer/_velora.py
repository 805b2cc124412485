"""Directories of Velora 0.1 (`LiquidDDPG`) and 0.2 (`NeuroFlow`, `NeuroFlowCT`) as liquid policies of ours.

    velora                                 perdure
    actor.ncp.inter    (SparseLinear)      body.cell.inter
    actor.ncp.command  (NCPLiquidCell)     body.cell.command; f = f_head_to_g + f_head_to_h
    actor.ncp.motor    (SparseLinear)      network, with zeros where no connection was

Read are `metadata.json` (sizes) and `model_state.safetensors` (weights). The optimiser class that the metadata name, which
Velora imports and calls, is text here.

Source: velora 0.1.1 and 0.2.0, `models/lnn/ncp.py`, `models/lnn/cell.py`, `models/ddpg.py`, `models/sac/`, `utils/restore.py`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from perdure._core import FileFormatError, loads_json, make, read_bytes
from perdure.network import Activation, CfC, LiquidCommand, Mask, MaskedLinear
from perdure.policy import AbstractPolicy, Architecture, Body, LiquidDeterministicPolicy, LiquidSACPolicy, Memory
from perdure.space import AbstractSpace, Box, Discrete

from ._layers import mlp
from ._registry import importer, loader
from ._report import ImportedPolicy, imported, naming
from ._tensors import Layer, Tensors, read_safetensors

METADATA, WEIGHTS = "metadata.json", "model_state.safetensors"
_NCP = "actor.ncp"


class _Sparse(NamedTuple):
    weight: np.ndarray  # zero where the mask is
    bias: np.ndarray
    mask: np.ndarray


def _sparse(tensors: Tensors, name: str, out_size: int, in_size: int) -> _Sparse:
    """A SparseLinear.

    Raises: FileFormatError for other sizes, or a mask that scales.
    """
    weight, mask = (tensors.shaped(f"{name}.{part}", out_size, in_size) for part in ("weight", "mask"))
    if not np.isin(mask, (0, 1)).all():
        raise FileFormatError(f"{WEIGHTS}: '{name}.mask' holds {mask.max()}, where 0 and 1 are usual.")
    return _Sparse(np.where(mask, weight, 0), tensors.shaped(f"{name}.bias", out_size), mask.astype(bool))


def _masked(weight: np.ndarray, bias: np.ndarray, present: np.ndarray) -> MaskedLinear:
    mask = Mask(jnp.asarray(present))
    return make(MaskedLinear, {"weight": jnp.asarray(weight), "bias": jnp.asarray(bias), "mask": mask})


def _cell(tensors: Tensors, in_size: int, inter: int, command: int) -> LiquidCommand:
    heads = [
        _sparse(tensors, f"{_NCP}.command.{name}", command, inter + command)
        for name in ("g_head", "h_head", "f_head_to_g", "f_head_to_h", "proj")
    ]
    g, h, one, two, proj = heads
    f = _Sparse(one.weight + two.weight, one.bias + two.bias, one.mask | two.mask)
    layer = _masked(*(np.concatenate(parts) for parts in zip(g, h, f, proj, strict=True)))
    first = _masked(*_sparse(tensors, f"{_NCP}.inter", inter, in_size))
    return LiquidCommand(first, make(CfC, {"layer": layer, "size": command}))


def _size(model: Mapping[str, object], name: str) -> int:
    value = model.get(name)
    if not isinstance(value, int) or not 0 < value < 2**20:
        raise FileFormatError(f"{METADATA}: model.{name} is {str(value)[:40]!r}, not a number of neurons.")
    return value


class _Circuit(NamedTuple):
    observation_space: Box
    body: Body
    motor: Layer


def _circuit(tensors: Tensors, neurons: int) -> _Circuit:
    """`neurons` counts inter and command neurons, of which two in five are command neurons."""
    command = max(int(0.4 * neurons), 1)
    in_size = tensors.take(f"{_NCP}.inter.weight", 2).shape[1]
    out_size = len(tensors.take(f"{_NCP}.motor.weight", 2))
    space = Box(-np.inf, np.inf, (in_size,))
    parts = {
        "observation_space": space,
        "architecture": Architecture(memory=Memory("liquid", neurons, command), initialization="uniform"),
        "normalizer": None,
        "cnns": (),
        "trunk": None,
        "cell": _cell(tensors, in_size, neurons - command, command),
    }
    weight, bias, _ = _sparse(tensors, f"{_NCP}.motor", out_size, command)
    return _Circuit(space, make(Body, parts), Layer(weight, bias))


def _policy(
    cls: type, circuit: _Circuit, action_space: AbstractSpace, final: Activation, **more: Any
) -> AbstractPolicy:
    network = mlp([circuit.motor], jax.nn.relu, final)
    spaces = {"observation_space": circuit.observation_space, "action_space": action_space}
    return make(cls, {**spaces, "body": circuit.body, "network": network, **more})


def _liquid_ddpg(tensors: Tensors, model: Mapping[str, object], notes: list[str]) -> tuple[str, AbstractPolicy]:
    """The name of the agent, and its policy."""
    circuit = _circuit(tensors, _size(model, "n_neurons"))
    found = circuit.observation_space.flat_size, len(circuit.motor.bias)
    if (stated := (_size(model, "state_dim"), _size(model, "action_dim"))) != found:
        raise FileFormatError(f"{METADATA} is of state_dim and action_dim {stated}, but {WEIGHTS} of {found}.")
    notes.append("actions are in [-1, 1], as Velora gives them to every environment")
    return "LiquidDDPG", _policy(LiquidDeterministicPolicy, circuit, Box(-1, 1, (found[1],)), jnp.tanh)


def _neuro_flow(tensors: Tensors, model: Mapping[str, object], notes: list[str]) -> tuple[str, AbstractPolicy]:
    """Of NeuroFlow, or of NeuroFlowCT, whose motor neurons give means, then logarithms of deviations."""
    circuit = _circuit(tensors, _size(model, "actor_neurons"))
    more: dict[str, Any] = {"log_std": None, "gsde_interval": None}
    count = len(circuit.motor.bias)
    if "actor.action_scale" not in tensors:
        return "NeuroFlow", _policy(LiquidSACPolicy, circuit, Discrete(count), jax.nn.identity, **more)
    scale, bias = (
        tensors.shaped(f"actor.{name}", count // 2).astype(np.float64) for name in ("action_scale", "action_bias")
    )
    bounds = Box((bias - scale).astype(np.float32), (bias + scale).astype(np.float32))
    notes.append(
        f"random actions have deviations within other limits: exp of {str(model.get('log_std'))[:40]}, here of [-20, 2]"
    )
    return "NeuroFlowCT", _policy(LiquidSACPolicy, circuit, bounds, jax.nn.identity, **more)


_AGENTS = {  # by the setting that tells them
    "n_neurons": ("0.1", _liquid_ddpg),
    "actor_neurons": ("0.2", _neuro_flow),
}


@importer("velora", "a directory of Velora")
def read_velora(dirpath: str | Path) -> ImportedPolicy:
    """The actor of a directory that an agent of Velora 0.1 or 0.2 saved, as a policy that answers as it does without noise.

    Without torch and Velora; nothing that the files name is imported or called. Critics, optimisers and buffer stay behind.

    Raises: FileFormatError (a ValueError) naming the directory and what in it is unknown or damaged; FileNotFoundError.
    """
    folder = Path(dirpath)
    notes: list[str] = []
    with naming(dirpath, ValueError):  # of bounds that are none
        metadata = loads_json(read_bytes(folder / METADATA))
        model = metadata.get("model") if isinstance(metadata, dict) else None
        setting = next((name for name in _AGENTS if isinstance(model, dict) and name in model), None)
        if model is None or setting is None:
            raise FileFormatError(f"{METADATA} has no model with one of {', '.join(_AGENTS)}: no agent that is known.")
        version, build = _AGENTS[setting]
        arrays = read_safetensors(read_bytes(folder / WEIGHTS), WEIGHTS)
        agent, policy = build(Tensors(arrays, WEIGHTS, "Is it of LiquidDDPG or NeuroFlow?"), model, notes)
    others = sorted({name.partition(".")[0] for name in arrays} - {"actor"})
    return imported(
        policy,
        file=folder,
        library=f"Velora {version}",
        algorithm=agent,
        source_class=f"velora.models.{agent}",
        dropped=[
            *([f"weights of {', '.join(others)}"] if others else []),
            *sorted(path.name for path in folder.iterdir() if path.name not in (METADATA, WEIGHTS)),
        ],
        notes=notes,
    )


load_velora = loader(read_velora)
