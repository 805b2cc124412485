"""Directories of Velora 0.1 (`LiquidDDPG`) and 0.2 (`NeuroFlow`, `NeuroFlowCT`) as liquid policies of ours.

    velora                                 perdure
    actor.ncp.inter    (SparseLinear)      body.cell.inter
    actor.ncp.command  (NCPLiquidCell)     body.cell.command; f = f_head_to_g + f_head_to_h
    actor.ncp.motor    (SparseLinear)      network, with zeros where no connection was

Read are `metadata.json` (sizes) and `model_state.safetensors` (weights). The optimiser class that the metadata name, which
Velora imports and calls, is text here.

Source: velora 0.1.1 and 0.2.0, `models/lnn/ncp.py`, `models/lnn/cell.py`, `models/ddpg.py`, `models/sac/`, `utils/restore.py`.
"""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy

from perdure._core import FileFormatError, loads_json, make, read_bytes
from perdure.network import MLP, Activation, CfC, Linear, LiquidCommand, Mask, MaskedLinear
from perdure.policy import AbstractPolicy, Architecture, Body, LiquidDeterministicPolicy, LiquidSACPolicy, Memory
from perdure.space import AbstractSpace, Box, Discrete

from ._report import ImportedPolicy, ImportReport, spelled

METADATA, WEIGHTS = "metadata.json", "model_state.safetensors"


class _Weights:
    """Arrays of the actor by name."""

    def __init__(self, data: bytes):
        try:
            arrays = safetensors.numpy.load(data)
        except (safetensors.SafetensorError, KeyError, ValueError) as error:
            raise FileFormatError(f"{WEIGHTS}: no safetensors file, or a damaged one: {str(error)[:120]}") from error
        self._arrays = {name.removeprefix("actor."): x for name, x in arrays.items() if name.startswith("actor.")}
        self.others = sorted({name.partition(".")[0] for name in arrays} - {"actor"})

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def shape(self, name: str) -> tuple[int, int]:
        """Raises: FileFormatError unless it is a matrix."""
        if name not in self._arrays or self._arrays[name].ndim != 2:
            raise FileFormatError(f"{WEIGHTS} has no matrix 'actor.{name}'. Is it of LiquidDDPG or NeuroFlow?")
        return self._arrays[name].shape

    def take(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Raises: FileFormatError if it is absent, has another shape or holds NaN or infinity."""
        if name not in self._arrays:
            raise FileFormatError(f"{WEIGHTS} has no tensor 'actor.{name}'. Is it of LiquidDDPG or NeuroFlow?")
        array = self._arrays[name]
        if array.shape != shape:
            raise FileFormatError(
                f"{WEIGHTS}: 'actor.{name}' is {list(array.shape)}, the sizes in {METADATA} ask for {list(shape)}."
            )
        if not np.isfinite(array).all():
            raise FileFormatError(f"{WEIGHTS}: 'actor.{name}' holds NaN or infinity, so the training had failed.")
        return array

    def sparse(self, name: str, out_size: int, in_size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weights, biases and mask of a SparseLinear."""
        weight, mask = (self.take(f"{name}.{part}", (out_size, in_size)) for part in ("weight", "mask"))
        if not np.isin(mask, (0, 1)).all():
            raise FileFormatError(f"{WEIGHTS}: 'actor.{name}.mask' holds {mask.max()}, where 0 and 1 are usual.")
        return np.where(mask, weight, 0), self.take(f"{name}.bias", (out_size,)), mask.astype(bool)


def _masked(weight: np.ndarray, bias: np.ndarray, present: np.ndarray) -> MaskedLinear:
    mask = Mask(jnp.asarray(present))
    return make(MaskedLinear, {"weight": jnp.asarray(weight), "bias": jnp.asarray(bias), "mask": mask})


def _cell(weights: _Weights, in_size: int, inter: int, command: int) -> LiquidCommand:
    heads = [
        weights.sparse(f"ncp.command.{name}", command, inter + command)
        for name in ("g_head", "h_head", "f_head_to_g", "f_head_to_h", "proj")
    ]
    g, h, (f_weight, f_bias, f_mask), (more_weight, more_bias, more_mask), proj = heads
    f = (f_weight + more_weight, f_bias + more_bias, f_mask | more_mask)
    layer = _masked(*(np.concatenate(parts) for parts in zip(g, h, f, proj, strict=True)))
    first = _masked(*weights.sparse("ncp.inter", inter, in_size))
    return LiquidCommand(first, make(CfC, {"layer": layer, "size": command}))


def _size(model: dict[str, Any], name: str) -> int:
    value = model.get(name)
    if not isinstance(value, int) or not 0 < value < 2**20:
        raise FileFormatError(f"{METADATA}: model.{name} is {str(value)[:40]!r}, not a number of neurons.")
    return value


class _Circuit(NamedTuple):
    observation_space: Box
    body: Body
    motor: Linear


def _circuit(weights: _Weights, neurons: int) -> _Circuit:
    """`neurons` counts inter and command neurons, of which two in five are command neurons."""
    command = max(int(0.4 * neurons), 1)
    in_size, out_size = weights.shape("ncp.inter.weight")[1], weights.shape("ncp.motor.weight")[0]
    space = Box(-np.inf, np.inf, (in_size,))
    parts = {
        "observation_space": space,
        "architecture": Architecture(memory=Memory("liquid", neurons, command), initialization="uniform"),
        "normalizer": None,
        "cnns": (),
        "trunk": None,
        "cell": _cell(weights, in_size, neurons - command, command),
    }
    weight, bias, _ = weights.sparse("ncp.motor", out_size, command)
    return _Circuit(space, make(Body, parts), Linear(jnp.asarray(weight), jnp.asarray(bias)))


def _policy(
    cls: type, circuit: _Circuit, action_space: AbstractSpace, final: Activation, **more: Any
) -> AbstractPolicy:
    network = make(MLP, {"layers": (circuit.motor,), "activation": jax.nn.relu, "final_activation": final})
    spaces = {"observation_space": circuit.observation_space, "action_space": action_space}
    return make(cls, {**spaces, "body": circuit.body, "network": network, **more})


def _liquid_ddpg(weights: _Weights, model: dict[str, Any], notes: list[str]) -> tuple[str, AbstractPolicy]:
    """The name of the agent, and its policy."""
    circuit = _circuit(weights, _size(model, "n_neurons"))
    found = circuit.observation_space.flat_size, len(circuit.motor.bias)
    if (stated := (_size(model, "state_dim"), _size(model, "action_dim"))) != found:
        raise FileFormatError(f"{METADATA} is of state_dim and action_dim {stated}, but {WEIGHTS} of {found}.")
    notes.append("actions are in [-1, 1], as Velora gives them to every environment")
    return "LiquidDDPG", _policy(LiquidDeterministicPolicy, circuit, Box(-1, 1, (found[1],)), jnp.tanh)


def _neuro_flow(weights: _Weights, model: dict[str, Any], notes: list[str]) -> tuple[str, AbstractPolicy]:
    """Of NeuroFlow, or of NeuroFlowCT, whose motor neurons give means, then logarithms of deviations."""
    circuit = _circuit(weights, _size(model, "actor_neurons"))
    more: dict[str, Any] = {"log_std": None, "gsde_interval": None}
    count = len(circuit.motor.bias)
    if "action_scale" not in weights:
        return "NeuroFlow", _policy(LiquidSACPolicy, circuit, Discrete(count), jax.nn.identity, **more)
    scale, bias = (weights.take(name, (count // 2,)).astype(np.float64) for name in ("action_scale", "action_bias"))
    bounds = Box((bias - scale).astype(np.float32), (bias + scale).astype(np.float32))
    notes.append(
        f"random actions have deviations within other limits: exp of {str(model.get('log_std'))[:40]}, here of [-20, 2]"
    )
    return "NeuroFlowCT", _policy(LiquidSACPolicy, circuit, bounds, jax.nn.identity, **more)


_AGENTS = {  # by the setting that tells them
    "n_neurons": ("0.1", _liquid_ddpg),
    "actor_neurons": ("0.2", _neuro_flow),
}


def read_velora(dirpath: str | Path) -> ImportedPolicy:
    """Like `load_velora`, with a report of what was found, left behind and to be noted."""
    folder = Path(dirpath)
    notes: list[str] = []
    try:
        metadata = loads_json(read_bytes(folder / METADATA))
        model = metadata.get("model") if isinstance(metadata, dict) else None
        setting = next((name for name in _AGENTS if isinstance(model, dict) and name in model), None)
        if model is None or setting is None:
            raise FileFormatError(f"{METADATA} has no model with one of {', '.join(_AGENTS)}: no agent that is known.")
        version, build = _AGENTS[setting]
        weights = _Weights(read_bytes(folder / WEIGHTS))
        agent, policy = build(weights, model, notes)
    except ValueError as error:  # of FileFormatError, or of bounds that are none
        raise FileFormatError(f"{dirpath}: {error}") from error
    files = sorted(path.name for path in folder.iterdir() if path.name not in (METADATA, WEIGHTS))
    report = ImportReport(
        file=folder.name,
        library=f"Velora {version}",
        algorithm=agent,
        source_class=f"velora.models.{agent}",
        policy=policy.name,
        observation=spelled(policy.observation_space),
        action=spelled(policy.action_space),
        normalization="none",
        dropped=(*([f"weights of {', '.join(weights.others)}"] if weights.others else []), *files),
        notes=tuple(notes),
    )
    return ImportedPolicy(policy, report)


def load_velora(dirpath: str | Path) -> AbstractPolicy:
    """The actor of a directory that an agent of Velora 0.1 or 0.2 saved, as a policy that answers as it does without noise.

    Without torch and Velora; nothing that the files name is imported or called. Critics, optimisers and buffer stay behind.

    Raises: FileFormatError (a ValueError) naming the directory and what in it is unknown or damaged; FileNotFoundError.
    Warns: UserWarning for what the user has to know.
    """
    return read_velora(dirpath).with_warnings()
