"""Where the observations come from that the ranges of an int8 export are measured on.

| `calibration=` | rows |
|---|---|
| an environment | those the policy meets in `EPISODES` episodes |
| path of a `.npy`, or a `.npz` with an array for each part of the observation | those of the file |
| None, with `observations=` | those |
| None | samples of the observation space: only good where the space is as narrow as what is met |

Every fifth row is held out, and what the report says of the quantised policy is measured on those.
"""

import dataclasses
from pathlib import Path

import numpy as np

from perdure.env import AbstractEnv
from perdure.env.adapter import HostEnv
from perdure.evaluation import Act, play
from perdure.export.program import ExportOptions, Program, next_name, observation_ports
from perdure.export.proof import Arrays, as_rows, sample_leaf
from perdure.policy import AbstractPolicy, check_same_spaces

EPISODES = 20
MAX_ROWS = 4000
NUM_SAMPLES = 1000
HELD_OUT = 5


@dataclasses.dataclass(frozen=True)
class Calibration:
    """`rows` by input; `source` says in words where they are from. With an environment also what the policy earned."""

    rows: Arrays
    source: str
    env: AbstractEnv | HostEnv | None = None
    returns: np.ndarray | None = None

    def __len__(self) -> int:
        return len(next(iter(self.rows.values())))

    @property
    def fitted(self) -> Arrays:
        """Rows for the ranges."""
        is_held_out = np.arange(len(self)) % HELD_OUT == HELD_OUT - 1
        return {name: x[~is_held_out] for name, x in self.rows.items()}

    @property
    def held_out(self) -> Arrays:
        """Rows to measure on; all of them where they are very few."""
        start = HELD_OUT - 1 if len(self) >= 10 * HELD_OUT else 0
        return {name: x[start :: HELD_OUT if start else 1] for name, x in self.rows.items()}


def from_file(policy: AbstractPolicy, path: Path) -> Arrays:
    """Observations of a file, by input.

    Raises: FileNotFoundError, or ValueError for a file of another kind or without a part of the observation.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"calibration: {path.name} does not exist. Give an environment, or a .npy or .npz file."
        )
    if path.suffix not in (".npy", ".npz"):
        raise ValueError(f"calibration: {path.name} is no .npy or .npz file. Save the observations with numpy.")
    loaded = np.load(path, allow_pickle=False)
    arrays = {"observation": loaded} if path.suffix == ".npy" else dict(loaded)
    rows = {}
    for port in observation_ports(policy.observation_space):
        if port.name not in arrays:
            found = ", ".join(sorted(arrays))
            raise ValueError(f"calibration: {path.name} has no array '{port.name}', only {found}. Add it.")
        rows[port.name] = np.asarray(arrays[port.name], port.dtype)
        if rows[port.name].shape[1:] != port.shape or not len(rows[port.name]):
            wanted = f"(n, {', '.join(map(str, port.shape))})"
            raise ValueError(
                f"calibration: '{port.name}' in {path.name} has shape {rows[port.name].shape}, not {wanted}."
            )
    return rows


def completed(program: Program, rows: Arrays, act: Act, seed: int) -> Arrays:
    """Observations with what else goes in: every action legal, noise, and the memory of one long episode over them."""
    sign, memory, steps = program.signature, dict(program.signature.initial_state), list[Arrays]()
    count = len(next(iter(rows.values())))
    masks = {p.name: np.ones((count, *p.shape), bool) for p in sign.inputs if p.name == "action_mask"}
    random = np.random.default_rng(seed)
    noises = {p.name: p.noise.sample(count, random) for p in sign.inputs if p.noise is not None}
    rows = {p.name: (rows | masks | noises)[p.name] for p in sign.inputs if p.name not in memory}
    if not memory:
        return rows
    for k in range(count):
        steps.append(
            {p.name: (memory[p.name][None] if p.name in memory else rows[p.name][k : k + 1]) for p in sign.inputs}
        )
        answer = act(steps[-1])
        memory = {name: answer[next_name(name)][0] for name in memory}
    return {name: np.concatenate([step[name] for step in steps]) for name in steps[0]}


def thinned(rows: Arrays) -> Arrays:
    """At most `MAX_ROWS`, evenly from all."""
    count = len(next(iter(rows.values())))
    pick = np.unique(np.linspace(0, count - 1, min(count, MAX_ROWS)).astype(int))
    return {name: x[pick] for name, x in rows.items()}


def calibrate(policy: AbstractPolicy, program: Program, act: Act, options: ExportOptions, seed: int) -> Calibration:
    """The rows of the table above; `act` is the policy.

    Raises: TypeError for a calibration of another kind, and what reading a file raises.
    """
    given, observations = options.calibration, options.observations
    if isinstance(given, AbstractEnv | HostEnv):
        check_same_spaces(policy, given)
        rows, returns = play(program.signature, act, given, EPISODES, seed)
        return Calibration(thinned(rows), f"{EPISODES} episodes in {given.name}", given, returns)
    if isinstance(given, str | Path):
        rows, source = from_file(policy, Path(given)), Path(given).name
    elif given is not None:
        raise TypeError(f"calibration is {type(given).__name__}. Give an environment, a .npy or .npz file, or nothing.")
    elif observations is not None:
        rows, source = as_rows(policy, observations), "the given observations"
    else:
        random, ports = np.random.default_rng(seed), observation_ports(policy.observation_space)
        rows = {p.name: sample_leaf(p.space, NUM_SAMPLES, random).astype(p.dtype) for p in ports if p.space is not None}
        source = "samples of the observation space"
    return Calibration(completed(program, thinned(rows), act, seed), source)
