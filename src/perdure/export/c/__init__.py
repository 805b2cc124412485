"""C: the writer, `build` and `load` for fast local inference, `build_wasm` for browsers.

export(policy, "deploy", targets=["c"])
policy = load(build("deploy/policy.c"))
action = policy(observation)
"""

from ._build import build as build, build_wasm as build_wasm
from ._load import Policy as Policy, load as load
from ._write import write_c as write_c
