"""What the tests of int8 exports share: a policy's int8 program, and the trained policies of tests/golden."""

import runpy
from pathlib import Path

import numpy as np

from perdure.checkpoint import load_policy
from perdure.export.precision import calibrate, in_precision
from perdure.export.precision._calibration import Calibration
from perdure.export.program import ExportOptions, lower
from perdure.export.proof import Reference

GOLDEN = Path(__file__).parents[2] / "golden"


def int8_program(policy, observations=None, env=None, **settings):
    """The program, the policy as a function of rows, and the calibration."""
    program = lower(policy, **settings)
    reference = Reference(program)
    options = ExportOptions(observations=observations, calibration=env)
    fitted: Calibration = calibrate(policy, program, reference, options, 0)
    return in_precision(program, "int8", fitted), reference, fitted


def trained(name):
    return load_policy(GOLDEN / f"trained_{name}.safetensors")


def operators(model: bytes) -> list[tuple[str, bool]]:
    """The operators of a .tflite file in order, and whether each reads and writes bytes of the core."""
    from ai_edge_litert import schema_py_generated as schema

    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
    parsed = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(model), 0))
    graph = parsed.subgraphs[0]
    is_byte = [t.type == schema.TensorType.INT8 for t in graph.tensors]
    kinds = [names[parsed.operatorCodes[op.opcodeIndex].builtinCode] for op in graph.operators]
    return [
        (kind, bool(is_byte[op.inputs[0]] and is_byte[op.outputs[0]]))
        for kind, op in zip(kinds, graph.operators, strict=True)
    ]


def in_target(program, target, rows, folder):
    """What a target's runtime answers, in this process."""
    from perdure.export.targets import TARGETS

    TARGETS[target].require()
    file = TARGETS[target].write(program, folder, "policy").run
    open_model = runpy.run_path(str(TARGETS[target].runner))["open_model"]
    return open_model(str(folder / file), folder)["prepare"](rows)()


def reference_rows(num=1000, size=4, seed=5):
    return np.random.default_rng(seed).standard_normal((num, size)).astype(np.float32)
