"""Exports that sample: the caller's noise in, an action out, distributed as the policy's own and equal in every target."""

import json
import runpy

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from jax import random as jr

from perdure.distribution import Categorical
from perdure.env.classic_control import CartPole
from perdure.export import export, to_onnx, verify
from perdure.export.program import lower
from perdure.export.program._noise import LEAST, MOST
from perdure.export.proof._observations import make_inputs
from perdure.export.targets import TARGETS
from perdure.export.targets.c import build, load
from perdure.graph import interpret
from perdure.policy import MLPActorCriticPolicy, MLPQPolicy
from perdure.space import Box, Discrete, MultiBinary, MultiDiscrete
from tests.support.export.c_compilers import needs_compiler
from tests.support.export.comparison import F
from tests.support.export.in_process import in_process as in_process, installed_targets
from tests.support.export.policies import OBSERVATION, Stateless
from tests.support.policy_kinds import VECTOR, Spaces, make, some_slow

BITS = MultiBinary((3,))
WIDE = Box(-100.0, 100.0, (2,))
COUNT = 20_000
ROW = np.array([0.3, -0.5, 1.2], F)
RUNS = [pytest.param("onnx"), pytest.param("c", marks=needs_compiler)]


def policy_for(action_space, **settings):
    policy = MLPActorCriticPolicy(Spaces(VECTOR, action_space), hidden_sizes=(8,), **settings, key=jr.key(0))
    return eqx.tree_at(lambda p: p.actor.layers[-1].weight, policy, replace_fn=lambda x: 200 * x)  # far from uniform


def sampled(target, policy, folder, mask=None):
    """Actions for one observation and much noise, in the target's own runtime."""
    report = export(
        policy, folder, [target], deterministic=False, action_mask=mask is not None, num_observations=100
    ).targets[0]
    signature = json.loads((folder / "manifest.json").read_text())["signature"]["inputs"]
    (noise,) = [port for port in signature if port["name"] == "noise"]
    random = np.random.default_rng(7)
    draw = {"uniform": random.random, "normal": random.standard_normal}[noise["distribution"]]
    rows = {"observation": np.tile(ROW, (COUNT, 1)), "noise": draw((COUNT, *noise["shape"])).astype(F)}
    rows |= {} if mask is None else {"action_mask": np.tile(mask, (COUNT, 1))}
    opened = runpy.run_path(str(TARGETS[target].runner))["open_model"](str(folder / report.file), folder)
    return opened["prepare"](rows)()["action"]


def chi_square(counts, p):
    assert (counts[p == 0] == 0).all()
    return scipy.stats.chisquare(counts[p > 0], p[p > 0] * counts.sum()).pvalue


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("target", RUNS)
def test_choices_come_with_the_policys_probabilities_and_barred_ones_never(target, tmp_path):
    policy, mask = policy_for(Discrete(5, start=2)), np.array([1, 1, 0, 1, 1], bool)
    logits = policy.distribution(None, ROW, jnp.asarray(mask))[1].logits
    p = scipy.special.softmax(np.asarray(logits, np.float64))  # float32 sums to less than chi_square wants
    assert p[mask].max() > 2 * p[mask].min()  # else the test could not see a wrong distribution
    actions = sampled(target, policy, tmp_path / "deploy", mask)
    assert chi_square(np.bincount(actions - 2, minlength=5), p) > 1e-3


@pytest.mark.usefixtures("in_process")
def test_several_choices_and_bits_come_with_their_probabilities(tmp_path):
    several = policy_for(MultiDiscrete((2, 3), (0, 5)))
    actions = sampled("onnx", several, tmp_path / "several")
    for k, part in enumerate(several.distribution(None, ROW)[1].parts()):
        p = scipy.special.softmax(np.asarray(part.logits, float))
        assert chi_square(np.bincount(actions[:, k] - 5 * k, minlength=len(p)), p) > 1e-3
    bits = policy_for(BITS)
    ones = sampled("onnx", bits, tmp_path / "bits").sum(0)
    for count, logit in zip(ones, bits.distribution(None, ROW)[1].logits, strict=True):
        assert scipy.stats.binomtest(int(count), COUNT, float(scipy.special.expit(logit))).pvalue > 1e-3


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("target", RUNS)
@pytest.mark.parametrize("settings", [{}, {"squash": True}, {"gsde_interval": 4}], ids=["normal", "squashed", "gSDE"])
def test_continuous_actions_have_the_policys_distribution(settings, target, tmp_path):
    policy = policy_for(WIDE, initial_log_std=-1.0, **settings)
    actions = sampled(target, policy, tmp_path / "deploy").astype(float)
    raw = np.arctanh(actions / 100) if settings.get("squash") else actions
    normal = policy.distribution(None, ROW)[1].marginal()
    for k in range(2):
        law = scipy.stats.norm(float(normal.mean[k]), float(jnp.exp(normal.log_std[k])))
        assert scipy.stats.kstest(raw[:, k], law.cdf).pvalue > 1e-3


@pytest.mark.usefixtures("in_process")
def test_a_q_policy_explores_as_often_as_its_epsilon(tmp_path):
    policy = MLPQPolicy(Spaces(VECTOR, Discrete(4)), epsilon=0.4, key=jr.key(0))
    counts = np.bincount(sampled("onnx", policy, tmp_path / "deploy"), minlength=4)
    p = np.full(4, 0.1) + 0.6 * (np.arange(4) == int(policy(None, ROW)[1]))
    assert chi_square(counts, p) > 1e-3


QUICK = ("cnn actor-critic",)
SLOW = ("mlp actor-critic, squash, gSDE", "lstm actor-critic, two", "lstm quantiles, dueling", "gru soft, discrete")


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("kind", some_slow(QUICK, QUICK + SLOW))
def test_equal_noise_gives_equal_actions_in_every_target(kind, tmp_path):
    policy, targets = make(kind), installed_targets()
    has_choices = policy.action_space.mask_size > 0
    report = export(policy, tmp_path / "a", targets, deterministic=False, action_mask=has_choices, num_observations=200)
    assert all(row.max_error <= 1e-5 and row.ties <= 0.02 * row.observations for row in report.targets)
    assert all(row.broken > 0 for row in report.targets)


@needs_compiler
def test_int8_is_calibrated_on_episodes_with_sampled_actions(tmp_path):
    env = CartPole()
    policy = MLPActorCriticPolicy(env, hidden_sizes=(8,), key=jr.key(0))
    settings = {"deterministic": False, "calibration": env, "num_observations": 50}
    (row,) = export(policy, tmp_path / "a", ["c-int8"], **settings).targets
    assert row.distance is not None
    assert row.max_error <= 1e-5


def test_it_verifies_from_the_folder_alone(tmp_path):
    pytest.importorskip("onnxruntime", reason="ONNX is run with the extra onnx")
    export(make("mlp soft"), tmp_path / "deploy", deterministic=False, num_observations=50)
    assert verify(tmp_path / "deploy").targets[0].max_error <= 1e-5


@pytest.mark.parametrize("kind", ["mlp actor-critic", "gru actor-critic", "mlp q", "mlp soft", "mlp soft, gSDE"])
def test_the_noise_of_a_key_gives_the_action_of_that_key(kind):
    policy, key = make(kind), jr.key(5)
    state = policy.reset(key=key)
    want = jax.jit(lambda: policy(state, ROW, key=key))()
    got = jax.jit(lambda: policy.act_from_noise(state, ROW, policy.noise(key=key)))()
    assert all(jnp.array_equal(a, b) for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True))


def test_the_proof_asks_the_ends_of_the_noise():
    policy = policy_for(Discrete(4))
    rows = make_inputs(policy, lower(policy, deterministic=False).signature, 100, 0)["noise"]
    assert all((rows == end).all(1).any() for end in (0, F(LEAST), F(MOST), 1))
    continuous = policy_for(WIDE)
    rows = make_inputs(continuous, lower(continuous, deterministic=False).signature, 100, 0)["noise"]
    assert np.abs(rows).max() == 1000


def answers(policy, noise, **rows):
    program = lower(policy, deterministic=False, action_mask="action_mask" in rows)
    count = len(noise)
    given = {"observation": np.tile(ROW, (count, 1)), "noise": np.asarray(noise, F)} | rows
    return interpret(program.graph, given)["action"]


def test_noise_of_zero_or_one_is_no_alarm_and_nan_is():
    policy = policy_for(Discrete(2))
    assert answers(policy, [[0, 0.5], [1, 0.5], [0, 0], [1, 1], [-np.inf, 0.5], [np.inf, 0.5]]).tolist() == [
        1, 0, *[int(policy(None, ROW)[1])] * 2, 1, 0,
    ]  # fmt: skip
    assert answers(policy, [[np.nan, 0.5], [0.5, np.nan]]).tolist() == [-1, -1]


def test_lost_noise_of_a_continuous_action_gives_nan():
    assert np.isnan(answers(policy_for(WIDE), [[np.nan, 0], [np.inf, 0], [-np.inf, 0]])[:, 0]).all()
    q_policy = make("mlp q")
    assert answers(q_policy, [[np.nan, 0.5, 0.5, 0.5, 0.5]]).tolist() == [-1]


class Masked(Stateless):
    """A user's own: it masks by -inf, and looks at the observation itself."""

    noise_kind = "uniform"

    def act_from_noise(self, state, observation, noise, *, action_mask=None):
        logits = jnp.where(action_mask, observation, -jnp.inf)
        return state, Categorical(logits).from_noise(noise)

    def noise(self, *, key):
        return jr.uniform(key, (4,))


def test_masking_is_no_alarm_beside_noise_but_a_nan_of_an_illegal_action_is():
    policy = Masked(OBSERVATION, Discrete(4), None)
    graph = lower(policy, deterministic=False, action_mask=True).graph
    mask = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [1, 0, 1, 1]], bool)
    rows = {"observation": np.zeros((3, 4), F), "action_mask": mask, "noise": np.full((3, 4), 0.5, F)}
    rows["observation"][2, 1] = np.nan
    assert interpret(graph, rows)["action"].tolist() == [0, 2, -1]


def test_what_to_draw_stands_in_the_manifest_the_header_and_the_model(tmp_path):
    policy = policy_for(WIDE, gsde_interval=4)
    program = lower(policy, deterministic=False)
    (noise,) = [p for p in json.loads(program.metadata["signature"])["inputs"] if p["name"] == "noise"]
    assert noise == {
        "name": "noise", "dtype": "float32", "shape": [8, 2], "distribution": "normal", "hold_steps": 4,
    }  # fmt: skip
    pytest.importorskip("onnx", reason="ONNX is written with the extra onnx")
    assert [i.name for i in to_onnx(policy, deterministic=False).graph.input] == ["observation", "noise"]


@needs_compiler
@pytest.mark.usefixtures("in_process")
def test_the_c_function_takes_noise(tmp_path):
    policy = policy_for(Discrete(3))
    export(policy, tmp_path / "deploy", ["c"], deterministic=False, num_observations=50)
    assert " * noise: float32 [3], uniform in (0, 1)\n" in (tmp_path / "deploy" / "policy.h").read_text()
    act = load(build(tmp_path / "deploy" / "policy.c"))
    assert [act(ROW, noise=np.where(np.arange(3) == k, F(MOST), F(0.01))) for k in range(3)] == [0, 1, 2]
    with pytest.raises(TypeError, match="noise is missing, but the policy samples"):
        act(ROW)
    export(policy, tmp_path / "plain", ["c"], num_observations=50)
    with pytest.raises(TypeError, match="noise is given, but the policy does not sample"):
        load(build(tmp_path / "plain" / "policy.c"))(ROW, noise=np.zeros(3, F))


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (lambda: make("mlp deterministic"), "StatelessDeterministicPolicy gives one action an observation"),
        (lambda: MLPQPolicy(Spaces(VECTOR, Discrete(2)), epsilon=0.0, key=jr.key(0)), "epsilon = 0, so it never"),
    ],
    ids=["deterministic", "greedy"],
)
def test_a_policy_with_nothing_to_sample_is_refused(policy, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        to_onnx(policy(), deterministic=False)
