"""A policy as a graph, with all that a writer needs beside it."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Unpack

import jax
import numpy as np

from perdure import __version__
from perdure._core import ExportError, describe, dumps_json, fingerprint, split_trainable
from perdure.export.guard import add_nan_guard
from perdure.export.trace import trace
from perdure.graph import Graph, name_tensors, simplify, without_batch
from perdure.policy import AbstractPolicy

from ._options import ExportOptions, ProgramKeywords, options_of, shows_options
from ._signature import Port, Signature, signature


@dataclasses.dataclass(frozen=True)
class Program:
    """`plain` is what the policy computes, `graph` the same with the guard, if there is one.

    In another precision than float32 both compute what is written, which is near to the policy (`perdure.export.precision`).
    """

    signature: Signature
    plain: Graph
    graph: Graph
    metadata: dict[str, str]
    precision: str = "float32"

    def unbatched(self) -> Graph:
        """For one observation, without a batch axis; named."""
        return name_tensors(without_batch(self.graph))


def check_finite(policy: AbstractPolicy, target: str) -> None:
    """Raises: ExportError for a weight that is not finite or a constant that is NaN. Infinite bounds are no weights."""
    trained, rest = split_trainable(policy)
    for tree, is_weight in ((trained, True), (rest, False)):
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
            if not hasattr(leaf, "dtype") or not jax.dtypes.issubdtype(leaf.dtype, np.floating):
                continue
            array = np.asarray(leaf)
            bad = ~np.isfinite(array) if is_weight else np.isnan(array)
            if bad.any():
                refuse(jax.tree_util.keystr(path).lstrip("."), array, bad, target)


def refuse(name: str, array: np.ndarray, bad: np.ndarray, target: str) -> None:
    at = tuple(int(i) for i in np.argwhere(bad)[0])
    where = f"[{', '.join(map(str, at))}]" if at else ""
    raise ExportError(
        f"export to {target}: '{name}'{where} is {array[at]}. Non-finite weights are not exported; look for the step "
        "where the loss became nan."
    )


def check_layers(graph: Graph, target: str) -> None:
    """The same for weights that are not leaves of the policy, such as arrays in a closure."""
    for node in graph.nodes():
        if node.op in ("Dense", "Conv"):
            for t in node.inputs[1:]:
                if not np.isfinite(t.value).all():
                    refuse(t.name or "constant", t.value, ~np.isfinite(t.value), target)


def policy_fingerprint(policy: AbstractPolicy) -> str | None:
    """None for a policy that no file could hold, such as one with a lambda in it: it exports all the same."""
    try:
        return fingerprint(policy).hex()
    except TypeError:
        return None


def describe_ports(ports: Sequence[Port]) -> list[dict[str, Any]]:
    """As the manifest has them; of noise also what to draw."""
    rows: list[dict[str, Any]] = []
    for port in ports:
        rows.append({"name": port.name, "shape": list(port.shape), "dtype": str(port.dtype)})
        if port.noise is not None:
            rows[-1] |= {"distribution": port.noise.distribution, "hold_steps": port.noise.hold_steps}
    return rows


def metadata_of(policy: AbstractPolicy, sign: Signature, name: str, nan_guard: bool) -> dict[str, str]:
    guard = {"on": nan_guard, "action": sign.sentinels if nan_guard else {}}
    metadata = {
        "name": name,
        "policy": type(policy).__name__,
        "observation_space": dumps_json(describe(policy.observation_space)).decode(),
        "action_space": dumps_json(describe(policy.action_space)).decode(),
        "perdure_version": __version__,
        "nan_guard": dumps_json(guard).decode(),
        "signature": dumps_json(
            {"inputs": describe_ports(sign.inputs), "outputs": describe_ports(sign.outputs)}
        ).decode(),
    }
    known = policy_fingerprint(policy)
    return metadata | ({"fingerprint": known} if known else {})


@shows_options(ProgramKeywords)
def lower(
    policy: AbstractPolicy,
    options: ExportOptions | None = None,
    *,
    target: str = "ONNX",
    **keywords: Unpack[ProgramKeywords],
) -> Program:
    """Trace, simplify and guard a policy. `target` is what messages say that it is exported to.

    Raises: ExportError for what cannot be exported, with the user's line and the mend.
    """
    options = options_of(options, keywords)
    check_finite(policy, target)
    sign = signature(
        policy, deterministic=options.deterministic, action_mask=options.action_mask, outputs=options.outputs
    )
    specs = {port.name: (port.shape, port.dtype) for port in sign.inputs}
    widened = [port.name for port in sign.inputs if port.is_widened]
    plain = simplify(trace(sign.function, specs, [port.name for port in sign.outputs], policy, widened=widened))
    check_layers(plain, target)
    actions = [port.name for port in sign.actions]
    graph = simplify(add_nan_guard(plain, actions, sign.sentinels)) if options.nan_guard else plain
    metadata = metadata_of(policy, sign, options.name, options.nan_guard)
    metadata |= {"environment": options.environment} if options.environment else {}
    return Program(sign, plain, name_tensors(graph), metadata)
