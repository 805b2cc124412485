"""What int8 costs a trained policy: the return over 100 episodes of the real Gymnasium task.

The episodes are played by the integer reference, which answers 1,000 of the observations met as LiteRT and C do.
"""

import numpy as np
import pytest

from perdure.env import make
from perdure.env.adapter import make_host
from perdure.evaluation import play
from perdure.graph import interpret
from tests.support.export.c_compilers import needs_compiler
from tests.support.export.int8 import in_target, int8_program, trained

pytest.importorskip("gymnasium", reason="the real tasks need the extra gym")
pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed: perdure[tflite]")
EPISODES = 100


@needs_compiler
@pytest.mark.parametrize(
    ("name", "floor"),
    [("CartPole-v1", 0.95 * 490), ("Acrobot-v1", -95.0), ("Pendulum-v1", -160.0)],  # floor: of the float policy
)
def test_int8_keeps_nearly_all_of_the_return(name, floor, tmp_path):
    program, policy, _ = int8_program(trained(name), env=make(name))
    sign, env = program.signature, make_host(name, EPISODES)

    def in_integers(rows):
        return interpret(program.graph, rows)

    _, before = play(sign, policy, env, EPISODES, seed=1)
    rows, after = play(sign, in_integers, env, EPISODES, seed=1)
    assert before.mean() >= floor, "the policy in tests/golden does not solve its task"
    assert after.mean() >= before.mean() - 0.05 * abs(before.mean())

    pick = np.random.default_rng(0).permutation(len(rows["observation"]))[:1000]
    asked = {key: x[pick] for key, x in rows.items()}
    want = in_integers(asked)["action"]
    for target in ("tflite-int8", "c-int8"):
        got = in_target(program, target, asked, tmp_path)["action"]
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)
    print(f"{name}: {before.mean():.1f} -> {after.mean():.1f}")
