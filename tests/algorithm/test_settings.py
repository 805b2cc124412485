"""Rules of settings stand at their fields: none lacks a rule, and every rule is checked when an algorithm is made."""

import dataclasses
import math
from typing import Annotated, ClassVar, get_args, get_type_hints

import beartype
import numpy as np
import pytest

from perdure._core import alternatives, check_settings, rule_in
from perdure.algorithm import (
    A2C,
    DDPG,
    DQN,
    PPO,
    SAC,
    TD3,
    TQC,
    AbstractRule,
    Finite,
    NonNegative,
    NonNegativeInt,
    Positive,
    PositiveInt,
    UnitInterval,
    registered_algorithms,
)
from perdure.algorithm._names import ELSEWHERE

BAD = {
    "positive": (Positive, 0.0),
    "not negative": (NonNegative, -1e-9),
    "at most 1": (UnitInterval, 1.001),
    "at least 0": (UnitInterval, -0.1),
    "not infinite": (Finite, math.inf),
    "a number": (UnitInterval, math.nan),
    "a number that is finite": (Positive, math.inf),
    "at least one": (PositiveInt, 0),
    "whole": (PositiveInt, 1.5),
    "finite and whole": (PositiveInt, math.inf),
    "zero or more": (NonNegativeInt, -1),
}
GOOD = [(Positive, 1e-9), (NonNegative, 0), (UnitInterval, 0), (UnitInterval, 1.0), (Finite, -3.0), (PositiveInt, 1)]


def made(hint, value):
    """A record with one field of this annotation."""
    return dataclasses.make_dataclass("Record", [("field", hint)])(value)


def changed(algorithm, name, value):
    """An algorithm with a setting that its constructor, which is typed at run time in tests, would not take."""
    object.__setattr__(algorithm, name, value)
    return algorithm


def plain_kinds(hint):
    """The types that an annotation allows, without what is said of them."""
    return {get_args(one)[0] if hasattr(one, "__metadata__") else one for one in alternatives(hint)}


@pytest.mark.parametrize("name", registered_algorithms())
def test_every_setting_of_an_algorithm_has_a_rule(name):
    hints = get_type_hints(registered_algorithms()[name], include_extras=True)
    settings = [field.name for field in dataclasses.fields(registered_algorithms()[name])]
    without = [s for s in settings if rule_in(hints[s]) is None]
    assert not without, f"Say what {without} may be: PositiveInt, UnitInterval, ... or a rule of your own."
    assert settings


@pytest.mark.parametrize("name", registered_algorithms())
def test_no_setting_of_an_algorithm_takes_a_value_of_another_kind(name):
    """A list is no setting, text only the name of an optimiser; numbers are no flags, flags are no numbers."""
    cls = registered_algorithms()[name]
    hints = get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        wrong = 1 if bool in plain_kinds(hints[field.name]) else True
        for value in ([1], "no", wrong, math.nan):
            with pytest.raises((TypeError, ValueError), match=rf"{cls.__name__}\.{field.name} = "):
                check_settings(changed(cls(), field.name, value))


def test_a_flag_is_true_or_false():
    for value in ("no", "maybe", 0, None, np.bool_(True)):
        with pytest.raises(TypeError, match=r"Record\.field = .*, but it must be True or False"):
            check_settings(made(bool, value))
    check_settings(made(bool, False))
    check_settings(made(bool | None, None))
    with pytest.raises(TypeError, match=r"PPO\.normalize_advantage = 'no' is str"):
        check_settings(changed(PPO(), "normalize_advantage", "no"))
    with pytest.raises(TypeError, match=r"DQN\.double = 'maybe' is str"):
        check_settings(changed(DQN(), "double", "maybe"))
    with pytest.raises(ValueError, match=r"TQC\.num_quantiles = 25\.5, but it must be a whole number"):
        check_settings(changed(TQC(), "num_quantiles", 25.5))


def test_a_numeric_setting_without_a_rule_would_be_found():
    assert plain_kinds(float | None) & {int, float}
    assert plain_kinds(Positive | None) & {int, float}
    assert not plain_kinds(bool) & {int, float}
    assert rule_in(float | None) is None
    assert rule_in(Annotated[float, "per environment step"]) is None
    assert rule_in(Positive | None) is rule_in(Positive) is not None


@pytest.mark.parametrize("name", BAD)
def test_a_value_out_of_range_is_refused(name):
    hint, value = BAD[name]
    for annotation in (hint, hint | None):
        with pytest.raises(ValueError, match=r"Record\.field = .*, but it must"):
            check_settings(made(annotation, value))


@pytest.mark.parametrize(("hint", "value"), GOOD)
def test_a_value_in_range_passes(hint, value):
    check_settings(made(hint, value))


@pytest.mark.parametrize("value", ["1", True, None, np.float32(1)])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(TypeError, match=r"Record\.field = .* but a number is wanted\. It must be positive"):
        check_settings(made(Positive, value))


def test_none_passes_where_the_annotation_has_it():
    check_settings(made(Positive | None, None))


def test_annotations_may_be_texts_and_rules_ones_own():
    class Even(AbstractRule):
        def check(self, where, value):
            if value % 2:
                raise ValueError(f"{where} = {value} is odd.")

    @dataclasses.dataclass
    class Written:
        half: Annotated[int, Even()] = 2
        rate: "Positive" = 1.0

    check_settings(Written())
    with pytest.raises(ValueError, match=r"half = 3 is odd\. The default is 2\."):
        check_settings(Written(half=3))
    with pytest.raises(ValueError, match=r"Written\.rate = 0\.0"):
        check_settings(Written(rate=0.0))


def test_a_name_that_only_a_type_checker_knows_hides_no_other_rule():
    @dataclasses.dataclass
    class Written:
        other: "NowhereAtAll" = None
        rate: Positive = 1.0

    with pytest.raises(ValueError, match=r"Written\.rate = 0\.0"):
        check_settings(Written(rate=0.0))


def test_fields_are_checked_before_they_are_checked_together():
    with pytest.raises(ValueError, match=r"PPO\.num_minibatches = 0, but .* The default is 4\."):
        PPO(num_minibatches=0)
    with pytest.raises(ValueError, match=r"TQC\.num_quantiles = 0, but"):
        TQC(num_quantiles=0)
    with pytest.raises(ValueError, match=r"TQC\.target_entropy = nan, but it must be finite"):
        TQC(target_entropy=math.nan)


def test_run_time_type_checkers_take_rules():
    @beartype.beartype
    def take(rate: Positive, count: PositiveInt | None = None) -> float:
        return rate

    assert take(0.5, 2) == 0.5
    with pytest.raises(beartype.roar.BeartypeCallHintParamViolation):
        take("fast")


def test_class_variables_are_no_settings():
    @dataclasses.dataclass
    class Record:
        fixed: ClassVar[Positive] = -1.0

    check_settings(Record())


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (
            lambda: PPO(num_minibatches=3),
            ValueError,
            r"PPO.num_minibatches=3 does not divide .* = 512. Try num_minibatches=1",
        ),
        (lambda: PPO(num_minibatches=6), ValueError, "Try num_minibatches=2"),
        (
            lambda: PPO(discount=1.5),
            ValueError,
            r"PPO.discount = 1.5, but it must lie in \[0, 1\]. The default is 0.99",
        ),
        (lambda: PPO(learning_rate=0.0), ValueError, "PPO.learning_rate = 0.0, but it must be positive"),
        (lambda: PPO(learning_rate=float("nan")), ValueError, "PPO.learning_rate = nan"),
        (lambda: PPO(num_envs=0), ValueError, "PPO.num_envs = 0"),
        (lambda: DQN(batch_size=0), ValueError, "DQN.batch_size = 0"),
        (
            lambda: DQN(capacity=100, learning_starts=1_000),
            ValueError,
            "DQN.learning_starts=1000 is more than capacity=100",
        ),
        (lambda: DQN(epsilon_end=-0.1), ValueError, "DQN.epsilon_end = -0.1"),
        (lambda: DQN(target_interval=0), ValueError, "DQN.target_interval = 0"),
        (lambda: DQN(n_step=0), ValueError, "DQN.n_step = 0"),
        (lambda: DQN(priority_exponent=1.5), ValueError, "DQN.priority_exponent = 1.5"),
        (lambda: PPO(anneal_clip=True), ValueError, "PPO.anneal_clip = True, but anneal_timesteps = None"),
        (lambda: PPO(target_kl=0.0), ValueError, "PPO.target_kl = 0.0, but it must be positive"),
        (lambda: A2C(rms_decay=2.0), ValueError, "A2C.rms_decay = 2.0"),
        (lambda: TD3(policy_delay=0), ValueError, "TD3.policy_delay = 0"),
        (lambda: DDPG(exploration_noise=-1.0), ValueError, "DDPG.exploration_noise = -1.0"),
        (lambda: SAC(temperature=0.0), ValueError, "SAC.temperature = 0.0"),
        (lambda: TQC(num_dropped=25), ValueError, "TQC.num_dropped=25 of num_quantiles=25 leaves nothing"),
    ],
)
def test_settings_are_checked_when_made(build, error, message):
    with pytest.raises(error, match=message):
        build()


@pytest.mark.parametrize(
    ("build", "meant"),
    [
        (lambda: PPO(lr=1e-3), r"lr=0\.001, but PPO has no lr\. Did you mean learning_rate\?"),
        (lambda: PPO(n_steps=16), "PPO has no n_steps. Did you mean num_steps"),
        (lambda: PPO(gamma=0.9), "PPO has no gamma. Did you mean discount"),
        (lambda: PPO(ent_coef=0.0), "PPO has no ent_coef. Did you mean entropy_weight"),
        (lambda: SAC(ent_coef=0.1), "SAC has no ent_coef. Did you mean temperature"),
        (lambda: SAC(ent_coef="auto"), "ent_coef='auto', but SAC has no ent_coef"),
        (lambda: DQN(buffer_size=100), "DQN has no buffer_size. Did you mean capacity"),
        (lambda: TD3(learning_rte=1), "TD3 has no learning_rte. Did you mean learning_rate"),
        (lambda: A2C(zzz=1), "A2C has no zzz. It has anneal_timesteps, "),
    ],
)
def test_an_unknown_setting_is_told_the_nearest_name_also_that_of_other_libraries(build, meant):
    with pytest.raises(TypeError, match=meant):
        build()


def test_what_other_libraries_call_a_setting_is_one_here():
    fields = {field.name for cls in registered_algorithms().values() for field in dataclasses.fields(cls)}
    of_agents = {"num_episodes", "policy_settings"}
    for name, ours in ELSEWHERE.items():
        assert name not in fields
        assert fields | of_agents >= {*ours}, name
