"""Files of Lerax, made once with the real package by `make_lerax.py`, and of its newer policies, made by hand."""

import io
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from perdure._core import FileFormatError
from perdure.env.classic_control import CartPole, Pendulum
from perdure.importer import load_lerax, read_lerax
from perdure.policy import MLPActorCriticPolicy, MLPDeterministicPolicy, MLPQPolicy, MLPSACPolicy
from perdure.space import Box, Discrete
from tests.support.sb3 import action_error, answers, head_error
from tests.support.shared_files import shared_data

FILES = Path(__file__).parent / "files"
SMALL = {"feature_size": 5, "feature_width": 6, "value_width": 7, "action_width": 8}
MADE = {
    "actor_critic": (MLPActorCriticPolicy, CartPole, SMALL | {"feature_depth": 1, "value_depth": 3, "action_depth": 3}),
    "defaults": (MLPActorCriticPolicy, Pendulum, {}),
    "linear": (MLPActorCriticPolicy, Pendulum, SMALL | {"feature_depth": 0, "value_depth": 0, "action_depth": 0}),
    "q": (MLPQPolicy, CartPole, {"width_size": 9, "depth": 3}),
}


@pytest.mark.parametrize("name", MADE)
def test_a_file_answers_as_lerax_does(name):
    cls, env, settings = MADE[name]
    policy, _ = read_lerax(FILES / f"lerax_{name}.eqx", cls, env(), **settings)
    assert isinstance(policy, cls)
    arrays = np.load(FILES / f"lerax_{name}.npz")
    given = answers(policy, arrays["observation"])
    action = arrays["action"]
    if isinstance(policy.action_space, Box):
        low, high = policy.action_space.low, policy.action_space.high
        assert head_error(given.head[:, 0], action) <= 1e-6
        action = np.clip(action[:, None], low, high)  # Lerax has no shape there, and leaves bounds to the environment
    assert action_error(policy, given.action, action) <= 1e-6
    assert head_error(given.head if name == "q" else given.value, arrays["value"]) <= 1e-6


NEWER = {  # files of Lerax 0.0.6 with the actions that it gave for them
    "ac_cart": (MLPActorCriticPolicy, CartPole),
    "q": (MLPQPolicy, CartPole),
    "det": (MLPDeterministicPolicy, Pendulum),
    "sacA": (MLPSACPolicy, Pendulum),
}


@pytest.mark.skipif(shared_data() is None, reason="the model files of ../shared/data are not here")
@pytest.mark.parametrize("name", NEWER)
def test_a_file_of_lerax_0_0_6_answers_as_it_did(name):
    cls, env = NEWER[name]
    folder = shared_data() / "lerax006"
    policy, _ = read_lerax(folder / f"{name}.eqx", cls, env())
    arrays = np.load(folder / f"{name}.npz")
    given = answers(policy, arrays["obs"]).action.reshape(len(arrays["obs"]))
    if isinstance(policy.action_space, Box):  # float32 sums in another order
        np.testing.assert_allclose(given, arrays["action"], rtol=1e-5, atol=1e-6)
    else:
        np.testing.assert_array_equal(given, arrays["action"])


def test_the_exploration_of_a_q_policy_comes_along():
    cls, env, settings = MADE["q"]
    assert load_lerax(FILES / "lerax_q.eqx", cls, env(), **settings).epsilon == 0.25


def test_a_fingerprint_before_the_leaves_is_passed_over_and_said(tmp_path):
    cls, env, settings = MADE["q"]
    (tmp_path / "new.eqx").write_bytes(bytes(range(32)) + (FILES / "lerax_q.eqx").read_bytes())
    with pytest.warns(UserWarning, match="fingerprint cannot be computed"):
        policy = load_lerax(tmp_path / "new.eqx", cls, env(), **settings)
    arrays = np.load(FILES / "lerax_q.npz")
    assert head_error(answers(policy, arrays["observation"]).head, arrays["value"]) <= 1e-6


class Spaces(NamedTuple):
    observation_space: Box
    action_space: Box | Discrete


BOUNDED = Spaces(Box(-3, 3, (4,)), Box(np.array([-1, 0], np.float32), np.array([1, 80], np.float32)))
RNG = np.random.default_rng(0)
OBSERVATION = np.array([0.3, -1.2, 0.8, 2.0], np.float32)


def leaves(*arrays):
    """As Equinox writes them."""
    stream = io.BytesIO()
    for array in arrays:
        np.save(stream, array)
    return stream.getvalue()


def bounds(spaces):
    return [np.asarray(x, np.float32) for space in reversed(spaces) for x in (space.low, space.high)]


def layer(out, in_size):
    return [RNG.normal(size=(out, in_size)).astype(np.float32), RNG.normal(size=out).astype(np.float32)]


def test_a_soft_actor_has_the_distribution_that_its_formula_says(tmp_path):
    first, last, mean, log_std = layer(6, 4), layer(5, 6), layer(2, 5), layer(2, 5)
    content = leaves(*bounds(BOUNDED), *first, *last, *mean, *log_std, np.array(False))
    (tmp_path / "sac.eqx").write_bytes(bytes(32) + content)
    policy, _ = read_lerax(tmp_path / "sac.eqx", MLPSACPolicy, BOUNDED, feature_size=5, width_size=6, depth=1)
    features = last[0] @ np.maximum(first[0] @ OBSERVATION + first[1], 0) + last[1]
    center = mean[0] @ features + mean[1]
    deviation = np.exp(-5 + 3.5 * (np.tanh(log_std[0] @ features + log_std[1]) + 1))
    low, high = BOUNDED.action_space.low, BOUNDED.action_space.high

    def squashed(u):
        return low + (high - low) / (1 + np.exp(-u))

    assert action_error(policy, answers(policy, OBSERVATION[None]).action[0], squashed(center)) <= 1e-6
    _, distribution = policy.evaluate(None, jnp.asarray(OBSERVATION))
    for noise in (np.ones(2, np.float32), np.array([-0.5, 2.0], np.float32)):
        action = policy.environment_action(distribution.from_noise(jnp.asarray(noise)))
        assert action_error(policy, action, squashed(center + deviation * noise)) <= 2e-6


def test_a_deterministic_policy_answers_as_its_formula_says_with_the_scale_of_the_file(tmp_path):
    first, last = layer(6, 4), layer(2, 6)
    scale, middle = np.array([1.5, 30], np.float32), np.array([0, 41], np.float32)
    content = leaves(*bounds(BOUNDED), *first, *last, scale, middle, np.array(False), np.array(0.1, np.float32))
    (tmp_path / "ddpg.eqx").write_bytes(bytes(32) + content)
    policy, report = read_lerax(tmp_path / "ddpg.eqx", MLPDeterministicPolicy, BOUNDED, width_size=6, depth=1)
    assert "as in the file, not to the environment's" in report.notes[0]
    expected = np.tanh(last[0] @ np.tanh(first[0] @ OBSERVATION + first[1]) + last[1]) * scale + middle
    assert action_error(policy, answers(policy, OBSERVATION[None]).action[0], expected) <= 1e-6


def q_file():
    return (FILES / "lerax_q.eqx").read_bytes()


def huge():
    text = b"{'descr': '<f4', 'fortran_order': False, 'shape': (999999999,), }\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def of_objects():
    stream = io.BytesIO()
    np.save(stream, np.array([print], object), allow_pickle=True)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: b"no file of Lerax", "no leaves of Equinox"),
        (lambda: q_file()[:-3], "does not hold"),
        (huge, "does not hold"),
        (of_objects, "no leaves of Equinox"),
        (lambda: q_file() + leaves(np.ones(3, np.float32)), "1 behind"),
        (lambda: leaves(np.ones((2, 2), np.float32)) + q_file(), "4 arrays stand before"),
        (lambda: q_file().replace(b"'<f4'", b"'<V4'"), "no leaves of Equinox"),
    ],
)
def test_what_is_damaged_or_not_known_is_refused_with_a_reason(content, message, tmp_path):
    (tmp_path / "model.eqx").write_bytes(content())
    with pytest.raises(FileFormatError, match=message):
        read_lerax(tmp_path / "model.eqx", MLPQPolicy, CartPole(), width_size=9, depth=3)


def test_other_settings_are_refused_with_the_shapes_that_are_there():
    with pytest.raises(FileFormatError, match=r"\[9, 4\].*make \[64, 4\].*width_size="):
        read_lerax(FILES / "lerax_q.eqx", MLPQPolicy, CartPole())
    with pytest.raises(TypeError, match=r"'layers' is no setting.*width_size, depth"):
        read_lerax(FILES / "lerax_q.eqx", MLPQPolicy, CartPole(), layers=3)
    with pytest.raises(TypeError, match="files of Lerax are read as one of"):
        read_lerax(FILES / "lerax_q.eqx", jax.Array, CartPole())
    with pytest.raises(TypeError, match="plain numbers"):
        read_lerax(FILES / "lerax_q.eqx", MLPQPolicy, Spaces(Discrete(4), Discrete(2)))
