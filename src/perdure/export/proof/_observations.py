"""Inputs for the proof: samples of the spaces, their bounds, zeros, large and tiny numbers, every kind of mask."""

import numpy as np
from jaxtyping import ArrayLike, PyTree

from perdure.export.program import Port, Signature, observation_ports
from perdure.policy import AbstractPolicy
from perdure.space import AbstractSpace, Box, Discrete, MultiBinary, MultiDiscrete, flatten_value

LARGE = (1e3, 1e6)  # where a side has no bound, or one that no sensor reaches
UNREACHED = 1e10
DENORMAL = 1e-40
MAX_SINGLE_MASKS = 64
GRIDS = (0.5, 0.25, 1.0)  # rows of whole multiples: many entries are equal, and halves are rounded
SAMPLED, BOUNDARY, SEARCHED = range(3)  # where a good row comes from
Generator = np.random.Generator


def limits(space: Box, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """The bounds, `reach` where there is none."""
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    low = np.where(np.abs(low) < UNREACHED, low, np.where(high < UNREACHED, high - reach, -reach))
    return low, np.where(np.abs(high) < UNREACHED, high, np.maximum(low + reach, reach))


def sample_box(space: Box, count: int, random: Generator) -> np.ndarray:
    shape = (count, *space.shape)
    if space.dtype.kind != "f":
        low, high = space.low.astype(np.int64), space.high.astype(np.int64)
        return random.integers(low, high + 1, shape).astype(space.dtype)
    low, high = limits(space, 3.0)
    least, most = space.low.astype(np.float64), space.high.astype(np.float64)
    bounded = (np.abs(least) < UNREACHED) & (np.abs(most) < UNREACHED)
    uniform, normal = random.uniform(low, high, shape), random.standard_normal(shape)
    value = np.where(bounded, uniform, np.where(least > -UNREACHED, least + np.abs(normal), normal))
    return np.clip(value, space.low, space.high).astype(space.dtype)


def special_box(space: Box, random: Generator) -> list[np.ndarray]:
    """Zeros, the bounds, corners, large and tiny numbers; all within the bounds."""
    if space.dtype.kind != "f":
        corners = [np.where(random.random(space.shape) < 0.5, space.low, space.high) for _ in range(6)]
        return [space.low, space.high, np.clip(np.zeros(space.shape), space.low, space.high), *corners]
    rows = [np.zeros(space.shape), np.full(space.shape, DENORMAL), np.full(space.shape, -DENORMAL)]
    rows += list(limits(space, 1.0))
    for reach in (1.0, *LARGE):
        low, high = limits(space, reach)
        rows += [low, high, *(np.where(random.random(space.shape) < 0.5, low, high) for _ in range(4))]
        rows += [random.uniform(low, high, space.shape) for _ in range(4)]
    low, high = limits(space, 3.0)
    rows += [np.rint(random.uniform(low, high, space.shape) / grid) * grid for grid in GRIDS for _ in range(4)]
    rows += [np.full(space.shape, random.uniform(low, high, space.shape).flat[0]) for _ in range(4)]
    held = np.finfo(space.dtype)  # float16 ends long before the large numbers
    with np.errstate(under="ignore"):
        return [np.clip(np.clip(row, held.min, held.max).astype(space.dtype), space.low, space.high) for row in rows]


def sample_leaf(space: AbstractSpace, count: int, random: Generator) -> np.ndarray:
    match space:
        case Box():
            return sample_box(space, count, random)
        case Discrete(n=n, start=start):
            return (start + random.integers(0, n, count)).astype(np.int32)
        case MultiDiscrete():
            return (np.asarray(space.start) + random.integers(0, space.nvec, (count, len(space.nvec)))).astype(np.int32)
        case MultiBinary():
            return random.integers(0, 2, (count, *space.shape)).astype(np.int8)
    raise TypeError(f"{type(space).__name__} is not a plain space.")


def mask_cases(action_space: AbstractSpace, random: Generator) -> list[np.ndarray]:
    """All legal, none legal, each single one, and what is left of MultiDiscrete when each component keeps one."""
    size = action_space.mask_size
    single = np.eye(size, dtype=bool)[random.permutation(size)[:MAX_SINGLE_MASKS]]
    cases = [np.ones(size, bool), np.zeros(size, bool), *single]
    groups = action_space.nvec if isinstance(action_space, MultiDiscrete) else (2,) * (size // 2)
    if not isinstance(action_space, Discrete):
        for _ in range(MAX_SINGLE_MASKS // 4):
            cases.append(np.concatenate([np.eye(n, dtype=bool)[random.integers(n)] for n in groups]))
    return cases


def as_rows(policy: AbstractPolicy, observations: PyTree[ArrayLike]) -> dict[str, np.ndarray]:
    """A batch of observations given by the user, one array a leaf, as rows by input name."""
    ports = observation_ports(policy.observation_space)
    leaves = flatten_value(policy.observation_space, observations)
    rows = {}
    for port, leaf in zip(ports, leaves, strict=True):
        array = np.asarray(leaf)
        if array.shape[1:] != port.shape:
            raise ValueError(
                f"observations['{port.name}'] has shape {array.shape}, wanted (n, {', '.join(map(str, port.shape))}). "
                "Give one array of n observations for each part of the observation space."
            )
        rows[port.name] = array.astype(port.dtype)
    return rows


def make_inputs(
    policy: AbstractPolicy, sign: Signature, count: int, seed: int, observations: PyTree[ArrayLike] | None = None
) -> dict[str, np.ndarray]:
    """At least `count` rows for every input, in random order."""
    random = np.random.default_rng(seed)
    masks = mask_cases(policy.action_space, random) if any(p.name == "action_mask" for p in sign.inputs) else []
    columns: dict[str, np.ndarray] = {}
    special = {p.name: special_box(p.space, random) for p in sign.inputs if isinstance(p.space, Box)}
    special |= {p.name: p.noise.extremes(random) for p in sign.inputs if p.noise is not None}
    given = as_rows(policy, observations) if observations is not None else {}
    extra = max([len(masks), *map(len, special.values()), 0])
    total = count + extra + (len(next(iter(given.values()))) if given else 0)
    order = random.permutation(total)
    for port in sign.inputs:
        columns[port.name] = column(port, total, special.get(port.name, []), masks, given, sign, random)[order]
    return columns


def column(
    port: Port,
    total: int,
    special: list[np.ndarray],
    masks: list[np.ndarray],
    given: dict[str, np.ndarray],
    sign: Signature,
    random: Generator,
) -> np.ndarray:
    if port.name == "action_mask":
        rows = random.random((total, *port.shape)) < random.uniform(0.1, 1, (total, 1))
        rows[: len(masks)] = masks
        return rows
    if port.noise is not None:
        rows = port.noise.sample(total, random)
        rows[: len(special)] = special
        return rows
    if port.space is None:  # memory: the initial one, and what it may become
        rows = sign.initial_state[port.name] + random.standard_normal((total, *port.shape)).astype(np.float32)
        rows[: total // 10] = sign.initial_state[port.name]
        return rows.astype(port.dtype)
    rows = sample_leaf(port.space, total, random).astype(port.dtype)
    if special:
        rows[: len(special)] = special
    if port.name in given:
        rows[total - len(given[port.name]) :] = given[port.name]
    return rows


def broken_inputs(sign: Signature, rows: dict[str, np.ndarray], limit: int = 32) -> dict[str, np.ndarray]:
    """Good rows with NaN, inf and -inf in one float component each: every one, or `limit` spread over an input."""
    first = {name: x[:1] for name, x in rows.items()}
    made: dict[str, list[np.ndarray]] = {name: [] for name in rows}
    for port in sign.inputs:
        if port.dtype.kind != "f":
            continue
        size = int(np.prod(port.shape, dtype=int))
        for entry in np.unique(np.linspace(0, size - 1, min(size, limit)).astype(int)):
            for bad in (np.nan, np.inf, -np.inf):
                k = len(made[port.name]) % len(rows[port.name])
                for name, x in rows.items():
                    row = np.array(x[k])  # of an input of shape () a scalar, which cannot be changed
                    if name == port.name:
                        row.reshape(-1)[entry] = bad
                    if name == "action_mask":
                        row[...] = True
                    made[name].append(row)
    return {name: np.stack(parts) if parts else first[name][:0] for name, parts in made.items()}
