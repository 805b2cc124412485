"""Makes `version_0_3`: trainings whose states count steps that their iterations do not. Run it once.

    python -m tests.golden.make_version_0_3

See `make_first_version`, whose trainings these are, with other settings after a while.
"""

import dataclasses
import json
from pathlib import Path

from jax import random as jr

from perdure.algorithm import carry_over
from perdure.checkpoint import save
from tests.golden import make_first_version as first
from tests.golden.make_first_version import answers

FOLDER = Path(__file__).parent / "version_0_3"
TRAININGS_AGAIN = ("PPO", "DQN")

if __name__ == "__main__":
    expected: dict[str, dict] = {"policies": {}, "trainings": {}}
    for name in TRAININGS_AGAIN:
        algorithm, env, cls, settings = first.trainings()[name]
        state = algorithm.init(env, cls(env, **settings, key=jr.key(0)), key=jr.key(1))
        state = algorithm.run(state, 3 * algorithm.steps_per_iteration)
        longer = dataclasses.replace(algorithm, num_steps=2 * algorithm.num_steps)
        carried = carry_over(algorithm, longer, state, env, same_env=True, key=jr.key(2))
        state = longer.refill(carried.state) if carried.needs_refill else carried.state
        state = longer.run(state, longer.steps_per_iteration)
        save(FOLDER / "trainings" / name, longer, state, buffer=hasattr(state, "buffer"))
        state = longer.run(state, 3 * longer.steps_per_iteration)
        expected["trainings"][name] = answers(state.policy)
    (FOLDER / "expected.json").write_text(json.dumps(expected, indent=1))
