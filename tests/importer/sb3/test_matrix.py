"""Every algorithm x policy x space x option of the real stable-baselines3 and sb3-contrib, with random weights."""

import numpy as np
import pytest

pytest.importorskip("stable_baselines3", reason="needs stable-baselines3")
pytest.importorskip("sb3_contrib", reason="needs sb3-contrib")

from perdure._core import FileFormatError
from perdure.importer import read_sb3
from perdure.policy import AbstractActorCriticPolicy
from perdure.space import Box, MultiBinary
from tests.support.sb3 import action_error, answers, answers_in_sequence, head_error
from tests.support.sb3_cases import STATELESS, case, recurrent
from tests.support.sb3_models import Case, make_model, near_statistics, normalized_world, predict, sample, saved, values

pytestmark = pytest.mark.filterwarnings("ignore")  # of the other libraries
QUICK = 7  # every so many runs by default


def rarely(cases):
    return [pytest.param(c, id=str(c), marks=[] if i % QUICK == 0 else [pytest.mark.slow]) for i, c in enumerate(cases)]


def check(policy, given, action, head, tolerance=5e-6):
    if isinstance(policy.action_space, MultiBinary) and head.shape[1] == 2 * policy.action_space.flat_size:
        head = head[:, 1::2] - head[:, ::2]  # MaskablePPO has two logits for a bit
    assert head_error(given.head, head) <= tolerance
    error = action_error(policy, given.action, action)
    assert error <= (2 * tolerance if isinstance(policy.action_space, Box) else 0)


@pytest.mark.parametrize("case", rarely(STATELESS))
def test_a_model_answers_as_its_predict_does(case, tmp_path):
    model = make_model(case)
    policy, report = read_sb3(saved(model, tmp_path), channels_first=case.observation in ("stack", "stacks"))
    tolerance = 5e-5 if "as they are" in case.note else 5e-6  # pixels up to 255 leave float32 fewer digits
    assert report.algorithm.replace("-", "") == case.algorithm
    observations = sample(model.get_env().envs[0].observation_space, 12)
    action, head, _ = predict(model, observations)
    given = answers(policy, observations)
    check(policy, given, action, head, tolerance)
    lost = any("critic, which ours" in text for text in report.dropped)
    assert lost == ("own extractors" in case.note and case.observation != "box")
    if isinstance(policy, AbstractActorCriticPolicy) and case.algorithm != "ARS" and not lost:
        assert head_error(given.value, values(model, observations)) <= tolerance


@pytest.mark.parametrize("case", rarely(recurrent()))
def test_a_recurrent_model_answers_as_its_predict_does(case, tmp_path):
    model = make_model(case)
    policy, _ = read_sb3(saved(model, tmp_path))
    rng = np.random.default_rng(0)
    starts = np.concatenate([np.ones((1, 3), bool), rng.random((5, 3)) < 0.3])
    space = model.get_env().envs[0].observation_space
    observations = [sample(space, 3, seed) for seed in range(len(starts))]
    state = None
    for one, start, given in zip(observations, starts, answers_in_sequence(policy, observations, starts), strict=True):
        action, head, state = predict(model, one, state=state, episode_start=start)
        check(policy, given, action, head)


@pytest.mark.parametrize("action", ["discrete", "multidiscrete", "multibinary"])
def test_a_masked_model_takes_the_masks_that_its_predict_takes(action, tmp_path):
    model = make_model(case("MaskablePPO", "box", action))
    policy, _ = read_sb3(saved(model, tmp_path))
    observations = sample(model.observation_space, 12)
    masks = np.random.default_rng(0).random((12, policy.action_space.mask_size)) < 0.5
    if action == "multibinary":  # each bit may be something
        masks[:, ::2] |= ~masks[:, 1::2]
    else:
        starts = [0] if action == "discrete" else np.cumsum([0, *policy.action_space.nvec])[:-1]
        masks[:, starts] |= True
    chosen, _, _ = predict(model, observations, action_masks=masks)
    given = answers(policy, observations, masks)
    assert action_error(policy, given.action, chosen) == 0


NORMALIZED = {
    "box": (case("PPO", "box", "continuous"), {}),
    "clip and epsilon": (case("SAC", "box", "continuous"), {"clip_obs": 0.5, "epsilon": 0.3}),
    "matrix": (case("TD3", "matrix", "continuous"), {}),
    "float64": (case("TQC", "float64", "continuous"), {}),
    "all keys": (Case("PPO", "MultiInputPolicy", "vectors", "discrete"), {"norm_obs_keys": ["vel", "goal"]}),
    "one key": (case("SAC", "vectors", "continuous"), {"norm_obs_keys": ["goal"]}),
    "beside an image": (case("PPO", "dict", "continuous"), {"norm_obs_keys": ["vec"]}),
    "flat image": (Case("PPO", "MlpPolicy", "image", "discrete"), {}),
    "flat image as it is": (Case("A2C", "MlpPolicy", "image", "discrete", {"normalize_images": False}), {}),
    "old, image": (case("A2C", "image", "discrete"), {}),
    "old, image as it is": (case("PPO", "image", "discrete", policy_kwargs={"normalize_images": False}), {}),
    "old, images in a scene": (case("TD3", "scene", "continuous"), {}),
    "channels first": (case("SAC", "floats", "continuous", policy_kwargs={"normalize_images": False}), {}),
    "recurrent": (recurrent()[0], {}),
}


@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("name", NORMALIZED)
def test_statistics_of_vecnormalize_become_part_of_the_policy(name, scale, tmp_path):
    model_case, settings = NORMALIZED[name]
    venv = normalized_world(model_case, 100.0 if "image" in name and name != "beside an image" else scale, **settings)
    model = make_model(model_case, None if name.startswith("old") else venv)  # before 1.7 an image remained an image
    venv.save(tmp_path / "vecnormalize.pkl")
    observations = near_statistics(venv, model_case.observation, 12)
    action, head, _ = predict(model, venv.normalize_obs(observations))
    policy, report = read_sb3(saved(model, tmp_path), vecnormalize=tmp_path / "vecnormalize.pkl")
    check(policy, answers(policy, observations), action, head)
    assert report.normalization.startswith("VecNormalize")


def test_statistics_of_rewards_alone_are_refused_and_not_asked_for(tmp_path):
    model_case = case("A2C", "box", "discrete")
    venv = normalized_world(model_case, 1.0, norm_obs=False)
    venv.save(tmp_path / "vecnormalize.pkl")
    path = saved(make_model(model_case, venv), tmp_path)
    with pytest.raises(FileFormatError, match=r"vecnormalize\.pkl: norm_obs is False"):
        read_sb3(path, vecnormalize=tmp_path / "vecnormalize.pkl")
    report = read_sb3(path).report
    assert report.normalization == "none"
    assert not any("vecnormalize" in note for note in report.notes)
