"""C: the writer, `build` and `load` for fast local inference, `build_wasm` for browsers.

export(policy, "deploy", targets=["c"])
policy = load(build("deploy/policy.c"))
action = policy(observation)
"""

from ._build import build as build, build_wasm as build_wasm, require_wasm_compiler as require_wasm_compiler
from ._load import Policy as Policy, load as load
from ._target import C_INT8 as C_INT8, C as C
from ._write import write_c as write_c
