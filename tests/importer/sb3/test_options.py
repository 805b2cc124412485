"""What the caller may tell the importer, and what it tells the caller; models are forged, so that none is needed."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from perdure._core import FileFormatError, register
from perdure.checkpoint import load_policy, save_policy
from perdure.importer import load_sb3, read_sb3
from perdure.importer._pickle import Call, Global
from perdure.network import LeakyRelu
from perdure.space import Box, Dict, Discrete
from tests.support.forge import (
    array,
    box,
    discrete,
    dtype,
    dump,
    fields,
    model_zip,
    pickled,
    state_dict,
    statistics,
    storages,
    tensor,
    torch_zip,
    vecnormalize,
)
from tests.support.sb3 import answers

NAMES = list(state_dict())


def weights():
    """The forged weights by name."""
    shapes = (tensor.arguments[2] for tensor in state_dict().values())
    return {
        name: np.frombuffer(content, "<f4").reshape(shape)
        for (name, content), shape in zip(zip(NAMES, storages().values(), strict=True), shapes, strict=True)
    }


def logits(observation, activation=np.tanh):
    w = weights()
    hidden = activation(w["mlp_extractor.policy_net.0.weight"] @ observation + w["mlp_extractor.policy_net.0.bias"])
    return w["action_net.weight"] @ hidden + w["action_net.bias"]


def written(content, tmp_path, name="model.zip"):
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


OBSERVATION = np.array([0.3, -1.2, 0.8], np.float32)


def test_the_policy_computes_what_the_weights_say(tmp_path):
    policy = load_sb3(written(model_zip(), tmp_path))
    np.testing.assert_allclose(answers(policy, OBSERVATION[None]).head[0], logits(OBSERVATION), rtol=1e-5)
    assert policy.observation_space == Box(-2, 2, (3,))
    assert policy.action_space == Discrete(2)


def test_an_activation_of_ones_own_is_refused_by_name_or_mapped(tmp_path):
    path = written(model_zip(fields(policy_kwargs=pickled({"activation_fn": Global("my.nets", "Wave")}))), tmp_path)
    with pytest.raises(FileFormatError, match=r"'my\.nets\.Wave' is not known.*custom="):
        load_sb3(path)
    policy = load_sb3(path, custom={"my.nets.Wave": jnp.sin})
    np.testing.assert_allclose(answers(policy, OBSERVATION[None]).head[0], logits(OBSERVATION, np.sin), rtol=1e-5)


def test_a_class_defined_in_a_script_is_named_too(tmp_path):
    by_value = Call(
        Global("cloudpickle.cloudpickle", "_make_skeleton_class"),
        (Global("builtins", "type"), "Wave", (Global("torch.nn", "Module"),), {"__module__": "__main__"}, "id", None),
    )
    path = written(model_zip(fields(policy_kwargs=pickled({"activation_fn": by_value}))), tmp_path)
    with pytest.raises(FileFormatError, match=r"__main__\.Wave"):
        load_sb3(path)
    policy = load_sb3(path, custom={"__main__.Wave": jnp.sin})
    np.testing.assert_allclose(answers(policy, OBSERVATION[None]).head[0], logits(OBSERVATION, np.sin), rtol=1e-5)


def test_a_policy_class_of_ones_own_is_refused_by_name_or_mapped(tmp_path):
    path = written(model_zip(fields(policy_class=pickled(Global("my.code", "MyPolicy")))), tmp_path)
    with pytest.raises(FileFormatError, match=r"'my\.code\.MyPolicy' is not known.*custom="):
        load_sb3(path)
    alike = {"my.code.MyPolicy": "stable_baselines3.common.policies.ActorCriticPolicy"}
    np.testing.assert_allclose(
        answers(load_sb3(path, custom=alike), OBSERVATION[None]).head[0], logits(OBSERVATION), rtol=1e-5
    )
    with pytest.raises(FileFormatError, match="is not known"):
        load_sb3(path, custom={"my.code.MyPolicy": "os.system"})


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("my.nets.RecurrentAttentionPolicy", "recurrent.policies.RecurrentActorCriticPolicy"),
        ("my.MaskedPolicy", "maskable.policies.MaskableActorCriticPolicy"),
        ("my.DuelingPolicy", "dqn.policies.DQNPolicy"),
        ("my.sac.Actor", "sac.policies.SACPolicy"),
        ("my.Policy", "common.policies.ActorCriticPolicy"),
    ],
)
def test_the_hint_for_an_unknown_policy_class_goes_by_its_name(name, known, tmp_path):
    module, _, cls = name.rpartition(".")
    path = written(model_zip(fields(policy_class=pickled(Global(module, cls)))), tmp_path)
    with pytest.raises(FileFormatError, match=rf"custom=.*{known}'"):
        load_sb3(path)


def test_a_subclass_of_vecnormalize_is_refused_by_name_or_mapped(tmp_path):
    path, node = written(model_zip(), tmp_path), vecnormalize()
    node.function = Global("my.code", "MyNormalize")
    file = written(dump(node), tmp_path, "vn.pkl")
    with pytest.raises(FileFormatError, match=r"my\.code\.MyNormalize"):
        load_sb3(path, vecnormalize=file)
    alike = {"my.code.MyNormalize": "stable_baselines3.common.vec_env.vec_normalize.VecNormalize"}
    assert load_sb3(path, vecnormalize=file, custom=alike).normalizer is not None


@register
class Doubled(eqx.Module):
    """An extractor of a user's own."""

    weight: jax.Array

    @property
    def out_size(self):
        return self.weight.shape[0]

    def __call__(self, x):
        return 2 * (self.weight @ x)


def test_an_extractor_of_ones_own_is_refused_by_name_or_mapped(tmp_path):
    data = fields(policy_kwargs=pickled({
        "features_extractor_class": Global("my.nets", "Doubled"), "features_extractor_kwargs": {"factor": 2}
    }))  # fmt: skip
    own = {"features_extractor.linear.weight": tensor("extra", (3, 3))}
    matrix = np.arange(9, dtype="<f4").reshape(3, 3) / 9
    content = model_zip(data, torch_zip(state_dict(**own), storages() | {"extra": matrix.tobytes()}))
    path = written(content, tmp_path)
    with pytest.raises(FileFormatError, match=r"'my\.nets\.Doubled' is not known.*out_size"):
        load_sb3(path)
    seen = {}

    def doubled(tensors, space, settings):
        seen.update(space=space, settings=settings)
        return Doubled(jnp.asarray(tensors["linear.weight"]))

    policy = load_sb3(path, custom={"my.nets.Doubled": doubled})
    np.testing.assert_allclose(answers(policy, OBSERVATION[None]).head[0], logits(2 * matrix @ OBSERVATION), rtol=1e-5)
    assert seen == {"space": Box(-2, 2, (3,)), "settings": {"factor": 2}}
    with pytest.raises(TypeError, match="without `out_size`"):
        load_sb3(path, custom={"my.nets.Doubled": lambda *_: np.sin})


def test_layers_that_actor_and_critic_shared_before_1_7_are_read(tmp_path):
    rng = np.random.default_rng(0)
    shapes = {
        "mlp_extractor.shared_net.0.weight": (5, 3),
        "mlp_extractor.shared_net.0.bias": (5,),
        "mlp_extractor.policy_net.0.weight": (4, 5),
        "mlp_extractor.policy_net.0.bias": (4,),
        "action_net.weight": (2, 4),
        "action_net.bias": (2,),
        "value_net.weight": (1, 5),
        "value_net.bias": (1,),
    }
    w = {name: rng.normal(size=shape).astype("<f4") for name, shape in shapes.items()}
    tree = {name: tensor(str(i), shape) for i, (name, shape) in enumerate(shapes.items())}
    contents = {str(i): x.tobytes() for i, x in enumerate(w.values())}
    policy = load_sb3(written(model_zip(weights=torch_zip(tree, contents)), tmp_path))
    given = answers(policy, OBSERVATION[None])
    shared = np.tanh(w["mlp_extractor.shared_net.0.weight"] @ OBSERVATION + w["mlp_extractor.shared_net.0.bias"])
    hidden = np.tanh(w["mlp_extractor.policy_net.0.weight"] @ shared + w["mlp_extractor.policy_net.0.bias"])
    np.testing.assert_allclose(given.head[0], w["action_net.weight"] @ hidden + w["action_net.bias"], rtol=1e-5)
    np.testing.assert_allclose(given.value, w["value_net.weight"] @ shared + w["value_net.bias"], rtol=1e-5)


def test_an_unknown_part_of_the_weights_is_refused_and_not_overlooked(tmp_path):
    attention = {"attention.weight": tensor("4", (2, 4))}
    with pytest.raises(FileFormatError, match=r"'attention\.weight' is of no part"):
        load_sb3(written(model_zip(weights=torch_zip(state_dict(**attention))), tmp_path))


def test_statistics_with_large_means_keep_their_digits(tmp_path):
    mean, variance = np.array([1e6 + 0.123, -3e5 + 0.001, 0.5]), np.array([1e-4, 1e-2, 4.0])
    node = vecnormalize(obs_rms=statistics(mean=array(mean, "f8"), var=array(variance, "f8")))
    policy = load_sb3(written(model_zip(), tmp_path), vecnormalize=written(dump(node), tmp_path, "vn.pkl"))
    observation = mean.astype(np.float32)
    expected = np.clip((observation - mean) / np.sqrt(variance + 1e-8), -10, 10)
    np.testing.assert_allclose(policy.normalizer(jnp.asarray(observation)), expected, rtol=1e-5, atol=1e-6)
    assert abs(expected[0]) > 0.1  # which float32 alone would have lost


def goal_env():
    spaces = {"achieved_goal": box(1), "desired_goal": box(1), "observation": box(2)}
    by_key = {
        "achieved_goal": statistics(1),
        "desired_goal": statistics(1, mean=array([1.0], "f8")),
        "observation": statistics(2, var=array([4.0, 9.0], "f8")),
    }
    return vecnormalize(
        observation_space=Call(Global("gym.spaces.dict", "Dict"), (), state={"spaces": spaces}), obs_rms=by_key
    )


def test_the_old_her_class_takes_the_goal_environments_dict_with_its_statistics(tmp_path):
    path = written(model_zip(fields(model_class=pickled(Global("stable_baselines3.sac.sac", "SAC")))), tmp_path)
    imported = read_sb3(path, vecnormalize=written(dump(goal_env()), tmp_path, "vn.pkl"))
    assert imported.report.algorithm == "HER"
    assert isinstance(imported.policy.observation_space, Dict)
    observation = {
        "achieved_goal": np.array([[9.0]], np.float32),
        "desired_goal": np.array([[1.5]], np.float32),
        "observation": np.array([[1.0, -1.5]], np.float32),
    }
    # observation / (2, 3), then desired_goal - 1; achieved_goal is not looked at
    np.testing.assert_allclose(
        answers(imported.policy, observation).head[0], logits(np.array([0.5, -0.5, 0.5])), rtol=1e-5
    )


def test_the_old_her_class_without_statistics_takes_one_vector_and_says_so(tmp_path):
    path = written(model_zip(fields(model_class=pickled(Global("stable_baselines3.sac.sac", "SAC")))), tmp_path)
    with pytest.warns(UserWarning, match="observation and desired_goal as one vector"):
        policy = load_sb3(path)
    assert policy.observation_space == Box(-2, 2, (3,))


def test_choices_that_begin_elsewhere_are_counted_from_zero_and_said(tmp_path):
    node = discrete()
    node.state = {"n": 2, "start": 5}
    path = written(model_zip(fields(action_space=pickled(node))), tmp_path)
    with pytest.warns(UserWarning, match=r"start 5 left out"):
        policy = load_sb3(path)
    assert answers(policy, OBSERVATION[None]).action[0] in (0, 1)


CONFIG = """!!python/object/apply:collections.OrderedDict
- - - normalize
    - dict(norm_obs=True, norm_reward=False)
  - - frame_stack
    - 4
  - - env_wrapper
    - - sb3_contrib.common.wrappers.TimeFeatureWrapper
      - my.Wrapper:
          x: 1
"""


def test_what_the_config_asks_of_the_environment_is_said(tmp_path):
    pytest.importorskip("yaml", reason="needs the extra sb3")
    path = written(model_zip(), tmp_path)
    config = written(CONFIG.encode(), tmp_path, "config.yml")
    notes = " ".join(read_sb3(path, config=config).report.notes)
    for text in ("stacks of 4", "TimeFeatureWrapper", "my.Wrapper", "vecnormalize= was not given"):
        assert text in notes
    file = written(dump(vecnormalize()), tmp_path, "vn.pkl")
    assert "was not given" not in " ".join(read_sb3(path, config=config, vecnormalize=file).report.notes)


@pytest.mark.parametrize(
    "name", ["vec_normalize.pkl", "dqn_vecnormalize.pkl", "VecNormalize-100k.pkl", "model/vecnormalize.pkl"]
)
def test_statistics_beside_a_model_are_told_with_their_flag(name, tmp_path):
    path = written(model_zip(), tmp_path)
    (tmp_path / "model").mkdir()
    file = written(dump(vecnormalize()), tmp_path, name)
    report = read_sb3(path).report
    assert report.normalization == f"none; {name} beside it was not taken in"
    assert f"vecnormalize={name!r} (--vecnormalize)" in report.notes[0]
    assert read_sb3(path, vecnormalize=file).report.notes == ()


def test_statistics_beside_a_model_that_are_of_no_use_to_it_are_not_told(tmp_path):
    path = written(model_zip(), tmp_path)
    written(dump(vecnormalize(norm_obs=False)), tmp_path, "vecnormalize.pkl")
    written(model_zip(), tmp_path, "other.zip")
    written(dump(vecnormalize()), tmp_path, "other.vecnormalize.pkl")  # of the other model
    assert read_sb3(path).report.notes == ()
    assert "other.vecnormalize.pkl" in read_sb3(tmp_path / "other.zip").report.notes[0]


def test_statistics_beside_a_model_that_cannot_be_read_are_told_too(tmp_path):
    path = written(model_zip(), tmp_path)
    written(b"no pickle", tmp_path, "vecnormalize.pkl")
    assert "vecnormalize='vecnormalize.pkl'" in read_sb3(path).report.notes[0]


def test_a_config_beside_a_model_is_told_if_it_asks_for_something(tmp_path):
    pytest.importorskip("yaml", reason="needs the extra sb3")
    path = written(model_zip(), tmp_path)
    config = written(b"n_envs: 8", tmp_path, "config.yml")
    assert read_sb3(path).report.notes == ()
    config.write_text(CONFIG)
    (note,) = read_sb3(path).report.notes
    for text in ("observations are normalised", "stacks of 4", "config='config.yml' (--config)"):
        assert text in note
    config.write_text("[" * 10_000)
    assert "cannot be read" in read_sb3(path).report.notes[0]


def test_what_stays_behind_is_listed(tmp_path):
    content = model_zip(fields(lr_schedule=pickled(Global("my", "schedule"))), **{"policy.optimizer.pth": b"x"})
    dropped = " ".join(read_sb3(written(content, tmp_path)).report.dropped)
    assert "policy.optimizer.pth" in dropped
    assert "schedules" in dropped


def test_fields_that_are_infinite_or_nan_are_read(tmp_path):
    imported = read_sb3(written(model_zip(fields(max_grad_norm=float("inf"), target_kl=float("nan"))), tmp_path))
    assert imported.report.algorithm == "PPO"


@pytest.mark.parametrize(("missing", "algorithm"), [("", "PPO"), ("clip_range", "A2C")])
def test_the_algorithm_is_told_by_its_settings(missing, algorithm, tmp_path):
    data = {name: value for name, value in fields().items() if name != missing}
    assert read_sb3(written(model_zip(data), tmp_path)).report.algorithm == algorithm


def old_box():
    """As gym 0.17 pickled it, by Python 2's protocol: `copy_reg._reconstructor`, `shape`, bytes as text."""
    numbers = np.array([-2.0] * 3, "<f4").tobytes()
    low = array([0.0] * 3)
    low.state = (1, (3,), dtype("f4"), False, Call(Global("_codecs", "encode"), (numbers.decode("latin-1"), "latin1")))
    state = {"dtype": dtype("f4"), "shape": (3,), "low": low, "high": array([2.0] * 3), "np_random": None}
    cls = Global("gym.spaces.box", "Box")
    return Call(Global("copy_reg", "_reconstructor"), (cls, Global("builtins", "object"), None), state=state)


def test_spaces_of_old_gym_are_read(tmp_path):
    policy = load_sb3(written(model_zip(fields(observation_space=pickled(old_box()))), tmp_path))
    assert policy.observation_space == Box(-2, 2, (3,))


def test_an_imported_policy_comes_back_from_its_file(tmp_path):
    activation = Call(
        Global("functools", "partial"),
        (Global("torch.nn.modules.activation", "LeakyReLU"),),
        state=(Global("torch.nn.modules.activation", "LeakyReLU"), (), {"negative_slope": 0.25}, None),
    )
    path = written(model_zip(fields(policy_kwargs=pickled({"activation_fn": activation}))), tmp_path)
    policy = load_sb3(path, vecnormalize=written(dump(vecnormalize()), tmp_path, "vn.pkl"))
    save_policy(tmp_path / "policy", policy)
    loaded = load_policy(tmp_path / "policy")
    assert loaded.actor.activation == LeakyRelu(0.25)
    assert bool(eqx.tree_equal(loaded, policy))
