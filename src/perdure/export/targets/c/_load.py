"""A policy compiled to a shared library, run from Python. Needs numpy alone: the runner of the proof uses it too."""

import ctypes
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ALIGNMENT = 64


class Port(NamedTuple):
    kind: str  # input, state or output
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype


def read_port(line: str) -> Port:
    kind, dtype, shape, name = line.split(" ", 3)
    return Port(kind, name, () if shape == "-" else tuple(map(int, shape.split("x"))), np.dtype(dtype))


def aligned(size_bytes: int) -> np.ndarray:
    whole = np.zeros(size_bytes + ALIGNMENT, np.uint8)
    start = -whole.ctypes.data % ALIGNMENT
    return whole[start : start + size_bytes]


class Row(ctypes.Structure):
    """What `perdure_run_row` takes."""

    _fields_ = [("given", ctypes.c_void_p), ("made", ctypes.c_void_p), ("work", ctypes.c_void_p)]


def pointers(arrays: list[np.ndarray]) -> Any:
    return (ctypes.c_void_p * max(len(arrays), 1))(*[x.ctypes.data for x in arrays])


class Library:
    """The functions of a shared library, and what goes in and out of them."""

    def __init__(self, path: str | Path):
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"{path.name} does not exist. Make it with perdure.export.c.build('policy.c').")
        library = ctypes.CDLL(str(path.resolve()))
        for entry in ("perdure_ports", "perdure_run_row"):
            if not hasattr(library, entry):
                raise ValueError(
                    f"{path.name} has no function {entry}. Build it with perdure.export.c.build, or give your compiler "
                    "-DPERDURE_LIBRARY; if an earlier version wrote its policy.c, export that again first."
                )
        library.perdure_ports.restype = ctypes.POINTER(ctypes.c_char_p)
        lines = itertools.takewhile(lambda line: line is not None, library.perdure_ports())
        ports = [read_port(line.decode()) for line in lines]
        self.inputs, self.state, self.outputs = (
            [p for p in ports if p.kind == k] for k in ("input", "state", "output")
        )
        self.workspace_bytes: int = library.perdure_workspace_bytes()
        self.function = library.perdure_run
        self.function.argtypes = [ctypes.c_int32, *[ctypes.c_void_p] * 3]
        self.row_function = library.perdure_run_row
        self.reset_function = library.perdure_reset

    def initial_state(self) -> dict[str, np.ndarray]:
        """What the memory is at the start of an episode."""
        state = {port.name: np.zeros(port.shape, port.dtype) for port in self.state}
        self.reset_function(pointers(list(state.values())))
        return state

    def prepare(self, rows: Mapping[str, Any]) -> Callable[[], dict[str, np.ndarray]]:
        """A call with rows by input name, memory included; the next memory comes out as `next_<name>`.

        Raises: ValueError for an input of another shape.
        """
        ports = (*self.inputs, *self.state)
        given = [np.ascontiguousarray(rows[p.name], p.dtype) for p in ports]
        count = len(given[0])
        for port, x in zip(ports, given, strict=True):
            if x.shape != (count, *port.shape):
                raise ValueError(f"'{port.name}' has shape {x.shape}, wanted {(count, *port.shape)}.")
        names = [p.name for p in self.outputs] + [f"next_{p.name}" for p in self.state]
        made = [np.empty((count, *p.shape), p.dtype) for p in (*self.outputs, *self.state)]
        held = (aligned(self.workspace_bytes), pointers(given), pointers(made), given)
        arguments = (count, ctypes.addressof(held[1]), ctypes.addressof(held[2]), held[0].ctypes.data)
        answer = dict(zip(names, made, strict=True))

        def call(held: Any = held) -> dict[str, np.ndarray]:
            self.function(*arguments)
            return answer

        return call


class Policy:
    """One policy that plays: it holds its memory and its buffers, so use one for each thread and each environment.

    `policy(observation)` is the action for one observation; an integer action of one number is an int. `lost` says that
    the last observation was broken (NaN or infinite where that matters): do not act on it.
    """

    def __init__(self, library: Library):
        self.library, self.lost = library, False
        self.buffers = {p.name: np.zeros(p.shape, p.dtype) for p in (*library.inputs, *library.state, *library.outputs)}
        self.work = aligned(library.workspace_bytes)
        self.observations = [p for p in library.inputs if p.name not in ("action_mask", "noise")]
        names = {p.name for p in library.inputs}
        self.is_masked, self.is_sampled = "action_mask" in names, "noise" in names
        actions = [p.name for p in library.outputs if p.name.split(".")[0] == "action"]
        self.actions = {name: self.buffers[name] for name in actions}
        memory = [self.buffers[p.name] for p in library.state]
        given = pointers([*(self.buffers[p.name] for p in library.inputs), *memory])
        made = pointers([*(self.buffers[p.name] for p in library.outputs), *memory])
        self.row = Row(ctypes.addressof(given), ctypes.addressof(made), self.work.ctypes.data)
        self.argument = ctypes.c_void_p(ctypes.addressof(self.row))
        self.held = (given, made)  # as long as their addresses are used
        self.function = library.row_function
        one = self.actions[actions[0]]
        self.answer: Callable[[], Any] = one.copy if one.ndim else one.item
        if len(actions) > 1:
            self.answer = self.every_action
        first = self.buffers[self.observations[0].name]
        is_plain = len(self.observations) == 1 == first.ndim and not self.is_masked and not self.is_sampled
        self.view = first.data if is_plain else None
        self.reset()

    def reset(self) -> None:
        """Forget the episode."""
        for name, value in self.library.initial_state().items():
            self.buffers[name][...] = value

    def __call__(self, observation: Any, action_mask: Any = None, noise: Any = None) -> Any:
        """The action. A Dict observation is a mapping, a Tuple a sequence, as the environment gives them.

        A policy that samples needs `noise`; the manifest says from which distribution.

        Raises: ValueError for a shape, TypeError for a dtype that does not fit, for a mask or noise where there is none,
        or for noise left out.
        """
        if self.view is None or action_mask is not None or noise is not None:
            self.fill_all(observation, action_mask, noise)
        else:
            try:
                self.view[:] = observation  # twice as quick as numpy; takes this shape and dtype only
            except (TypeError, ValueError, NotImplementedError):
                self.fill_all(observation, action_mask, noise)
        self.lost = self.function(self.argument) != 0
        return self.answer()

    def every_action(self) -> dict[str, np.ndarray]:
        return {name.partition(".")[2]: x.copy() for name, x in self.actions.items()}

    def fill_all(self, observation: Any, action_mask: Any, noise: Any) -> None:
        if self.is_sampled != (noise is not None):
            found = "missing, but the policy samples" if noise is None else "given, but the policy does not sample"
            raise TypeError(f"noise is {found}: that was chosen by the export's `deterministic`.")
        if self.is_sampled:
            fill("noise", self.buffers["noise"], noise)
        for port in self.observations:
            fill(port.name, self.buffers[port.name], part(observation, port.name.partition(".")[2]))
        if self.is_masked:
            mask = np.ones(self.buffers["action_mask"].shape, bool) if action_mask is None else action_mask
            fill("action_mask", self.buffers["action_mask"], np.asarray(mask) != 0)
        elif action_mask is not None:
            raise TypeError(
                "action_mask is given, but the policy was exported without one. Export with action_mask=True."
            )


def fill(name: str, buffer: np.ndarray, value: Any) -> None:
    if getattr(value, "shape", None) != buffer.shape:
        value = np.asarray(value)
        if value.shape != buffer.shape:
            raise ValueError(f"'{name}' has shape {value.shape}, wanted {buffer.shape}.")
    np.copyto(buffer, value, casting="same_kind")


def part(value: Any, path: str) -> Any:
    """The member of a Dict or Tuple observation that a port's name leads to; keys may have dots in them."""
    if not path:
        return value
    if not isinstance(value, Mapping):
        head, _, rest = path.partition(".")
        return part(value[int(head)], rest)
    keys = [key for key in value if path == key or path.startswith(f"{key}.")]
    if not keys:
        raise ValueError(f"the observation has no '{path}', only {', '.join(map(str, value))}.")
    key = max(keys, key=len)
    return part(value[key], path[len(key) + 1 :])


def load(path: str | Path) -> Policy:
    """The policy in a shared library that `build` made.

    Raises: FileNotFoundError, or ValueError for a library without the entries of a policy.
    """
    return Policy(Library(path))
