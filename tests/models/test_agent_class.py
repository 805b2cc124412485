"""The agent of an algorithm, made from its class: what an editor shows of it, and how it is found."""

import inspect
import pickle

import pytest

import perdure.algorithm
from perdure import models
from perdure.algorithm import PPO, SAC, AbstractOnPolicy
from perdure.models import Agent, AlgorithmAgent, LiquidDDPG, agent_class


def test_an_agent_is_one_class_however_it_is_found():
    assert models.PPO is agent_class(PPO) is models.PPO
    assert models.PPO.algorithm_class is PPO
    assert models.PPO is not models.A2C
    assert issubclass(models.PPO, Agent)
    assert pickle.loads(pickle.dumps(models.PPO)) is models.PPO


def test_its_signature_names_the_settings_with_their_types_and_defaults():
    parameters = inspect.signature(models.PPO).parameters
    assert list(parameters)[:5] == ["env", "policy", "policy_settings", "seed", "device"]
    assert (parameters["clip"].annotation, parameters["clip"].default) == (float, 0.2)
    assert (parameters["anneal_timesteps"].annotation, parameters["anneal_timesteps"].default) == (int | None, None)
    assert "clip" not in inspect.signature(models.SAC).parameters
    assert all(one.kind is inspect.Parameter.KEYWORD_ONLY for one in list(parameters.values())[1:])
    assert set(inspect.signature(SAC).parameters) < set(inspect.signature(models.SAC).parameters)


def test_its_docstring_says_what_it_learns_and_takes():
    first, *rest = (models.PPO.__doc__ or "").splitlines()
    assert first.startswith("An agent of `perdure.algorithm.PPO`: learns from each rollout in several epochs")
    assert "Args:" in rest
    assert models.PPO.__module__ == "perdure.models"


def test_there_is_one_for_each_algorithm_and_for_nothing_else():
    ours = {name for name in vars(perdure.algorithm) if isinstance(getattr(models, name, None), type)}
    assert {"PPO", "A2C", "REINFORCE", "DQN", "QRDQN", "DDPG", "TD3", "SAC", "TQC", "DiscreteSAC"} == ours
    assert ours < set(dir(models))
    for name in ("AbstractOnPolicy", "Buffer", "Transformer"):
        with pytest.raises(AttributeError, match=f"has no attribute '{name}'"):
            getattr(models, name)


def test_an_algorithm_without_a_documentation_has_an_agent():
    class Plain(AbstractOnPolicy):
        pass

    assert agent_class(Plain).__doc__.startswith("An agent of `tests.models.test_agent_class.Plain`")


@pytest.mark.parametrize("cls", [Agent, AlgorithmAgent, models.PPO, LiquidDDPG])
def test_no_agent_overrides_what_is_concrete(cls):
    for base in cls.__mro__[1:-1]:
        for name, member in vars(base).items():
            is_concrete = inspect.isfunction(member) and not getattr(member, "__isabstractmethod__", False)
            if is_concrete and not name.startswith("__"):
                assert getattr(cls, name) is getattr(base, name), f"{cls.__name__} overrides {base.__name__}.{name}"
