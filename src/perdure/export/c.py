"""C: `build` and `load` for fast local inference, `build_wasm` for browsers, and the writer alone.

export(policy, "deploy", targets=["c"])
policy = load(build("deploy/policy.c"))
action = policy(observation)
"""

from .targets.c import (
    Policy as Policy,
    build as build,
    build_wasm as build_wasm,
    load as load,
    write_c as write_c,
)
