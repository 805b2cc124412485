"""The graph of an export `weights`, read back from its safetensors and its JSON. No code of the export is run."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import load

from perdure._core import FileFormatError, loads_json, read_bytes
from perdure.graph import ATTRIBUTES, COMPARE, DTYPES, UNARY_FUNCTIONS, Graph, Tensor, constant, emit, interpret

Json = Mapping[str, object]
Arrays = dict[str, np.ndarray]
NUMBERS = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}  # JSON has no such numbers
BY_NAME = {str(dtype): dtype for dtype in DTYPES}
FORMAT = 1


class Weights(NamedTuple):
    """`act` takes and gives arrays by name, with a batch axis; `initial` is the memory at the start, without one."""

    act: Callable[[Arrays], Arrays]
    initial: Arrays


def fault(file: str, where: str, wanted: str) -> FileFormatError:
    return FileFormatError(f"{file}: {where[:120]} is not {wanted}. Export the policy again.")


def only(directory: Path, ending: str) -> Path:
    """The file of that ending."""
    found = sorted(directory.glob(f"*{ending}"))
    if len(found) != 1:
        raise FileFormatError(
            f"The target weights has {len(found)} files *{ending}, wanted one. Export the policy again."
        )
    return found[0]


def read_weights(directory: Path) -> Weights:
    """The policy in a folder that holds the files of the target alone.

    Raises: FileFormatError for what the target would not write.
    """
    path = only(directory, "_weights.json")
    weights = load(read_bytes(only(directory, "_weights.safetensors")))
    text = loads_json(read_bytes(path))
    if not isinstance(text, dict) or text.get("format") != FORMAT:
        raise fault(path.name, "format", str(FORMAT))
    try:
        graph = graph_of(text, weights)
        shapes = {port["name"]: tuple(port["shape"]) for port in text["outputs"]}
        initial = {name: weights[at] for name, at in text["initial_state"].items()}
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise fault(path.name, f"{type(error).__name__}: {error}", "what the target weights writes") from error

    def act(inputs: Arrays) -> Arrays:
        batch = len(next(iter(inputs.values())))
        results = interpret(graph, inputs, batch)
        return {name: np.broadcast_to(x, (batch, *shapes[name])) for name, x in results.items()}

    return Weights(act, initial)


def graph_of(text: Json, weights: Arrays) -> Graph:
    """Inputs, the layers in their order, and the results."""
    known = {name: constant(array, name) for name, array in weights.items()}
    inputs = []
    for port in text["inputs"]:  # type: ignore[attr-defined]
        inputs.append(Tensor((-1, *port["shape"]), BY_NAME[port["dtype"]], port["name"]))
        known[port["name"]] = inputs[-1]
    for layer in text["layers"]:  # type: ignore[attr-defined]
        known[layer["name"]] = layer_of(layer, known)
    dtypes = {port["name"]: BY_NAME[port["dtype"]] for port in text["outputs"]}  # type: ignore[attr-defined]
    results = [(name, value_of(text["results"][name], known, dtype)) for name, dtype in dtypes.items()]  # type: ignore[index]
    return Graph(inputs, results)


def layer_of(layer: Json, known: dict[str, Tensor]) -> Tensor:
    """One operator, with its number of the file read in the dtype that the operator has."""
    op, inputs = str(layer["op"]), list(layer["inputs"])  # type: ignore[call-overload]
    dtype = BY_NAME[str(layer["dtype"])]
    if op in COMPARE:  # its numbers are of what it compares, its result a condition
        dtype = next(known[x].dtype for x in inputs if isinstance(x, str) and x in known)
    operands = [
        value_of(x, known, np.dtype("int32") if op == "Gather" and i == 1 else dtype) for i, x in enumerate(inputs)
    ]
    attributes: dict[str, Any] = {
        name: attribute(name, layer[name], BY_NAME[str(layer["dtype"])]) for name in ATTRIBUTES[op]
    }
    out = emit(op, *operands, scope=str(layer["name"]), **attributes)
    if str(out.dtype) != layer["dtype"]:
        raise ValueError(f"the layer {layer['name']!r} gives {out.dtype}")
    out.name = str(layer["name"])
    return out


def value_of(x: object, known: dict[str, Tensor], dtype: np.dtype) -> Tensor:
    """A value by its name, or a number."""
    if isinstance(x, str) and x in known:
        return known[x]
    number = NUMBERS[x] if isinstance(x, str) else x
    if not isinstance(number, int | float):
        raise TypeError("an input is neither a name nor a number")
    return constant(np.asarray(number, dtype))


def attribute(name: str, value: object, dtype: np.dtype) -> object:
    """As the graph has it: JSON has lists for tuples and arrays, and names for dtypes and functions."""
    if name == "to":
        return BY_NAME[str(value)]
    if name in ("lo", "hi", "value"):
        return np.asarray(numbers(value), dtype)
    if name == "activation" and value is not None and value not in UNARY_FUNCTIONS:
        raise ValueError("an activation is unknown")
    return as_tuples(value)


def numbers(value: object) -> object:
    if isinstance(value, list):
        return [numbers(x) for x in value]
    return NUMBERS[value] if isinstance(value, str) else value


def as_tuples(value: object) -> object:
    return tuple(as_tuples(x) for x in value) if isinstance(value, list) else value
