"""Differential test: random policies in every runtime against JAX, on numbers and on NaN.

Hypothesis makes 200 of them, `PERDURE_FUZZ=full` 2,000; where one differs, it shows the shortest plan that still does.
A row in which some decision of the policy is closer than float32 can tell (`near_ties`) is a proven tie, not compared.
"""

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from perdure.export.guard import add_nan_guard
from perdure.export.proof._tolerance import near_ties
from perdure.graph import interpret, simplify
from tests.support.export.backends import BACKENDS, run_tflite, tfjs_lacks, tflite_lacks
from tests.support.export.comparison import FULL, answers, graph_of, run_onnx, worst_error
from tests.support.export.fuzz import BATCH, INPUTS, build, rows

PARTS = 10
GRAPHS = 200 if FULL else 20  # in each part
TOLERANCE = 2e-5
RUNTIMES = {"onnx": run_onnx, "tflite": run_tflite, **BACKENDS}
LACKS = {"tflite": tflite_lacks, "tfjs": tfjs_lacks}
SELDOM = {"stablehlo": 8}  # its rules are JAX's own functions, and it takes the most time
counted = Counter()


def lost(y):
    """Where the guard gave up the number."""
    return np.isnan(y) if y.dtype.kind == "f" else y == -1


def broken(good):
    """NaN in one entry of the float inputs of every second row."""
    bad = {name: x.copy() for name, x in good.items()}
    for x in bad.values():
        if x.dtype.kind == "f":
            x[::2, ..., 0] = np.nan
    return bad


def differences(plan):
    """Names and errors of all that differs for one random policy."""
    function, good = build(plan), rows(plan[0])
    want = answers(function, list(good.values()))
    raw = graph_of(function, INPUTS)
    plain = simplify(raw)
    guarded = simplify(add_nan_guard(plain, ["y0", "y1"]))
    firm, bad = ~near_ties(plain, good), broken(good)
    wrong = {}

    def compare(name, got):
        got = [np.asarray(y)[:BATCH] for y in got]
        error = worst_error([y[firm] for y in got], [y[firm] for y in want])
        wrong.update({name: error} if error > TOLERANCE else {})
        counted["runs", "equal in every row" if worst_error(got, want) <= TOLERANCE else "different at a tie"] += 1

    compare("raw", interpret(raw, good).values())
    compare("plain", interpret(plain, good).values())
    lost_there = [lost(y) for y in interpret(guarded, bad).values()]
    hidden = [lost(y) & ~seen for y, seen in zip(interpret(plain, bad).values(), lost_there, strict=True)]
    wrong.update({"hidden NaN": np.inf} if any(x.any() for x in hidden) else {})
    both = {name: np.concatenate([x, bad[name]]) for name, x in good.items()}
    for name, run in RUNTIMES.items():
        if plan[0][1] % SELDOM.get(name, 1) or (name in LACKS and LACKS[name](guarded)):
            continue
        got = run(guarded, both)
        compare(name, got)
        same = all((lost(y[BATCH:]) == seen).all() for y, seen in zip(got, lost_there, strict=True))
        wrong.update({} if same else {f"NaN in {name}": np.inf})
        counted[name] += 1
    counted.update(graphs=1, rows=len(firm), ties=int((~firm).sum()), nodes=len(plain.nodes()))
    counted.update({f"op {op}": 1 for op in {node.op for node in guarded.nodes()}})
    return wrong


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_random_policies_agree_in_every_runtime(part):
    @settings(
        max_examples=GRAPHS,
        derandomize=True,  # the same policies every time
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(st.integers(0, 2**31 - 1), min_size=4, max_size=13))
    def agree(steps):
        assert differences([(part, step) for step in steps]) == {}

    agree()
    print(dict(sorted(counted.items(), key=str)))
