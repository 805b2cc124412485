"""Fields of the environment that change: which, when, and the same when resumed."""

import equinox as eqx
import jax
import numpy as np
import pytest

from perdure.algorithm._native import run_compiled
from perdure.callback import AdaptiveCurriculum, ScheduledCurriculum
from perdure.callback._curriculum import with_field
from perdure.checkpoint import load, save
from perdure.env import TimeLimit
from perdure.env.adapter import HostEnv, to_gymnasium_env
from perdure.env.classic_control import CartPole
from perdure.env.wrapper import AbstractWrapper
from tests.support.callbacks import ALGORITHM, ENV, Notes, begin, bits, train


class Tilted(AbstractWrapper):
    """Has a gravity of its own, so that the name alone is not enough."""

    gravity: float = 1.0
    slopes: tuple = (1.0, 2.0)


def gravity_grows():
    return ScheduledCurriculum({"gravity": lambda step: 5.0 + step}, frequency=60)


def test_a_schedule_is_resumed_to_the_bit_from_a_directory_between_two_changes(tmp_path):
    notes = Notes(20)
    never_stopped = train(gravity_grows(), notes)
    # told after the change: 60 and 120 are the multiples of the frequency that have been passed
    assert notes.gravity == [5.0, 5.0, 65.0, 65.0, 65.0, 125.0, 125.0, 125.0, 185.0, 185.0]
    save(tmp_path / "half", ALGORITHM, train(gravity_grows(), steps=100))
    resumed = train(gravity_grows(), state=load(tmp_path / "half").state, steps=100)
    assert bits(resumed) == bits(never_stopped)
    assert bits(resumed) != bits(train())


def test_changes_compile_nothing_anew():
    begun, notes = run_compiled._cached._cache_size(), Notes(20)
    train(ScheduledCurriculum({"gravity": lambda step: 7.0 + step / 60}, frequency=60), notes)  # of this test alone
    assert set(notes.gravity) == {7.0, 8.0, 9.0, 10.0}
    assert run_compiled._cached._cache_size() - begun <= 1


def test_a_path_leads_past_a_wrapper_that_has_a_field_of_that_name():
    env = TimeLimit(Tilted(CartPole()), 10)
    outer, inner = with_field(env, "gravity", 3.0), with_field(env, "env.env.gravity", 3.0)
    assert (outer.env.gravity, outer.env.env.gravity) == (3.0, 9.8)
    assert (inner.env.gravity, inner.env.env.gravity) == (1.0, 3.0)
    assert isinstance(inner.env.env.gravity, jax.Array)


@pytest.mark.parametrize(
    ("field", "value", "error", "message"),
    [
        ("gravty", 1.0, ValueError, r"CartPole has no field 'gravty'. It has gravity, slopes, gravity, cart_mass"),
        ("env.wheel.gravity", 1.0, ValueError, "CartPole has no field 'env.wheel.gravity'. It has no number there"),
        ("env.env.env.gravity", 1.0, ValueError, "It has no number there"),
        ("slopes", 1.0, TypeError, r"slopes is \(1.0, 2.0\), but a curriculum changes floating-point numbers"),
        ("gravity", float("nan"), ValueError, "gives gravity=nan. Environments need finite numbers"),
    ],
)
def test_what_cannot_be_set_is_named(field, value, error, message):
    with pytest.raises(error, match=message):
        with_field(TimeLimit(Tilted(CartPole()), 10), field, value)


def test_an_array_of_many_numbers_is_no_number():
    env = eqx.tree_at(lambda env: env.gravity, CartPole(), jax.numpy.ones(3))
    with pytest.raises(TypeError, match=r"gravity is f32\[3\]"):
        with_field(env, "gravity", 1.0)


def adaptive(**settings):
    return AdaptiveCurriculum("gravity", (1.0, 2.3, 9.8), **{"target": 1.0, "patience": 2, "frequency": 40} | settings)


def test_levels_rise_with_the_return_whoever_else_listens_and_in_each_training_anew():
    notes, curriculum = Notes(20), adaptive()
    alone = train(curriculum)
    assert bits(train(curriculum, notes)) == bits(alone)  # the same object again
    # two windows of 40 steps for each level
    np.testing.assert_allclose(notes.gravity, [1.0] * 3 + [2.3] * 4 + [9.8] * 3, rtol=1e-6)
    assert curriculum.level == 2


def test_a_target_that_is_out_of_reach_keeps_the_level():
    curriculum = adaptive(target=10.5)
    assert float(train(curriculum).env.env.gravity) == 1.0
    assert curriculum.level == 0


def test_a_resumed_training_goes_on_at_the_level_of_its_environment():
    again = adaptive(target=10.5)
    assert float(train(again, state=train(adaptive(), steps=80), steps=20).env.env.gravity) == np.float32(2.3)


def test_an_environment_that_no_curriculum_has_changed_begins_at_the_first_level():
    """Although its own force of 10 is the last one."""
    curriculum = AdaptiveCurriculum("force", (5.0, 10.0), target=10.5)
    assert float(train(curriculum, steps=20).env.env.force) == 5.0


def test_a_host_environment_takes_no_curriculum():
    gymnasium = pytest.importorskip("gymnasium", reason="the extra `gym` is not installed")
    make = lambda: to_gymnasium_env(ENV)  # noqa: E731
    env = HostEnv(gymnasium.vector.SyncVectorEnv([make, make], autoreset_mode="SameStep"))
    for curriculum in (gravity_grows(), adaptive()):
        with pytest.raises(ValueError, match="is a host environment, whose fields a curriculum does not reach"):
            train(curriculum, state=begin(env), env=env)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ScheduledCurriculum({}, frequency=0), "frequency=0"),
        (lambda: adaptive(patience=0), "patience=0"),
        (lambda: adaptive(target=float("inf")), "target=inf"),
        (lambda: AdaptiveCurriculum("gravity", (1.0, 1.0), target=1.0), r"levels=\(1.0, 1.0\), but each must differ"),
    ],
)
def test_settings_are_checked_when_made(build, message):
    with pytest.raises(ValueError, match=message):
        build()
