"""Adding an environment: one file, outside of the package or inside of it."""

import ast
from pathlib import Path

import pytest

import perdure.algorithm
import perdure.env
from perdure.checkpoint import load, save
from perdure.cli._evaluate import evaluate
from perdure.cli._resume import resume
from perdure.cli._train import train
from perdure.env import TimeLimit, make, registered_environments
from perdure.models import PPO, Agent
from perdure.policy import MLPBody
from tests.templates.corridor import Corridor

PACKAGE = Path(perdure.env.__file__).parents[1]
SMALL = {"policy_settings": {"hidden_sizes": (8,)}, "num_envs": 2, "num_steps": 8, "num_minibatches": 2, "seed": 0}


def test_an_environment_of_ones_own_is_made_by_its_name():
    assert make("Corridor-v0", length=5.0) == TimeLimit(Corridor(5.0), 20)
    with pytest.raises(TypeError, match=r"no setting 'lenth'\. Did you mean 'length'"):
        make("Corridor-v0", lenth=5.0)


def test_it_is_trained_on_saved_with_the_training_and_gone_on_with(tmp_path):
    agent = PPO("Corridor-v0", learning_rate=1e-2, **SMALL).train(total_timesteps=2_000, callbacks=())
    assert agent.evaluate(num_episodes=4).mean == -3.0  # the shortest way
    agent.save(tmp_path / "a")
    loaded = Agent.load(tmp_path / "a")
    assert loaded.training_state.env == make("Corridor-v0")
    assert loaded.train(total_timesteps=16, callbacks=()).evaluate(num_episodes=4).episodes == 4


def test_a_checkpoint_needs_nothing_to_load_it(tmp_path):
    agent = PPO(Corridor(2.0), **SMALL).train(total_timesteps=16, callbacks=())
    save(tmp_path / "a", agent.algorithm, agent.training_state)
    assert load(tmp_path / "a").state.env == TimeLimit(Corridor(2.0), 1000)


def test_the_command_line_knows_it_by_its_name(tmp_path, capsys):
    algorithm = perdure.algorithm.PPO(num_envs=2, num_steps=8)
    settings = {"out": tmp_path / "run", "compilation_cache": False}
    train(algorithm, "Corridor-v0", MLPBody(hidden_sizes=(8,)), total_timesteps=64, **settings)
    resume(tmp_path / "run", total_timesteps=128, compilation_cache=False)
    evaluate(tmp_path / "run", episodes=1, compilation_cache=False)
    assert "Trained PPO on Corridor-v0 for 128 steps" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", ["Acrobot", "CartPole", "MountainCar", "Pendulum"])
def test_an_environment_of_ours_is_one_file_and_the_lines_that_offer_it(name):
    """Nothing else in the room of environments knows it but what draws it; the quickstart plays one by its name."""
    knowing = {
        path.relative_to(PACKAGE / "env").as_posix()
        for path in (PACKAGE / "env").rglob("*.py")
        if any(isinstance(node, ast.Name | ast.alias) and name in ast.dump(node) for node in ast.walk(tree_of(path)))
    }
    offered = {"_make.py", "classic_control/__init__.py", "adapter/_draw.py"}
    assert knowing - offered <= {f"classic_control/_{snake(name)}.py"}
    assert any(one.startswith(name) for one in registered_environments())


def tree_of(path):
    return ast.parse(path.read_text())


def snake(name):
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
