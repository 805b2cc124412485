"""Adding an algorithm: one file outside of the package; inside of it that file and the line that offers it."""

import ast
import inspect
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from jax import random as jr

import perdure.algorithm
from perdure import models
from perdure._core import leaf_to_numpy, leaves_with_paths
from perdure.algorithm import AbstractAlgorithm, name_of_algorithm, registered_algorithms
from perdure.checkpoint import load, save
from perdure.env import probe
from perdure.models import Agent, agent_class, new_policy
from tests.templates.penalized_ppo import PenalizedPPO
from tests.templates.plain_q_learning import PlainQLearning

PACKAGE = Path(perdure.algorithm.__file__).parents[1]
TEMPLATE = Path(__file__).with_name("penalized_ppo.py")
OWN = {
    "on-policy": PenalizedPPO(num_envs=2, num_steps=8),
    "off-policy": PlainQLearning(num_envs=2, num_steps=4, batch_size=8, capacity=64, learning_starts=16),
}
SMALL = {"hidden_sizes": (8,)}


def bits(tree):
    return {path: leaf_to_numpy(leaf).tobytes() for path, leaf in leaves_with_paths(tree)}


def fields(algorithm):
    return {name: getattr(algorithm, name) for name in inspect.signature(type(algorithm)).parameters}


def test_an_algorithm_of_ones_own_is_among_the_registered_ones():
    assert registered_algorithms()["penalized-ppo"] is PenalizedPPO
    assert registered_algorithms()["plain-q-learning"] is PlainQLearning  # named by its class
    assert all(name_of_algorithm(cls) == name for name, cls in registered_algorithms().items())


def test_it_learns():
    env = probe.Act()
    algorithm = PenalizedPPO(learning_rate=1e-2)
    policy = new_policy(PenalizedPPO, "mlp", env, **SMALL, key=jr.key(0))
    policy = algorithm.learn(env, policy, total_timesteps=4_000, key=jr.key(1), callbacks=())
    assert int(policy(None, np.ones(1, np.float32))[1]) == 1


@pytest.mark.parametrize("name", OWN)
def test_it_is_an_agent_that_is_saved_and_goes_on_to_the_bit(name, tmp_path):
    algorithm = OWN[name]
    agent = agent_class(type(algorithm))("CartPole-v1", policy_settings=SMALL, seed=0, **fields(algorithm))
    agent.train(total_timesteps=32, callbacks=())
    assert agent.algorithm == algorithm
    agent.save(tmp_path / "a", buffer=name == "off-policy", config=True)
    for loaded in (Agent.load(tmp_path / "a", buffer=name == "off-policy"), type(agent).load(tmp_path / "a")):
        assert loaded.algorithm == algorithm
        assert bits(loaded.policy) == bits(agent.policy)
    loaded = Agent.load(tmp_path / "a", buffer=name == "off-policy")
    assert bits(loaded.train(total_timesteps=32, callbacks=()).training_state) == bits(
        agent.train(total_timesteps=32, callbacks=()).training_state
    )


def test_its_checkpoints_are_read_without_an_agent(tmp_path):
    algorithm, env = OWN["off-policy"], probe.Act()
    state = algorithm.init(env, new_policy(PlainQLearning, "mlp", env, **SMALL, key=jr.key(0)), key=jr.key(1))
    save(tmp_path / "a", algorithm, state, buffer=True)
    found = load(tmp_path / "a", buffer=True)
    assert found.algorithm == algorithm
    assert bits(found.state) == bits(state)


def test_its_settings_are_checked_by_their_rules():
    with pytest.raises(ValueError, match=r"PenalizedPPO\.penalty = -1\.0, but it must be zero or more"):
        PenalizedPPO(penalty=-1.0)
    with pytest.raises(ValueError, match=r"PlainQLearning\.epsilon = 2\.0, but it must lie in \[0, 1\]"):
        PlainQLearning(epsilon=2.0)


def perdure_command(*arguments, cwd, place):
    """A command of perdure, with this place on the path of modules."""
    command = [sys.executable, "-c", "from perdure.cli import main; main()", *arguments]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [place, PACKAGE.parent])), "COLUMNS": "120"}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_an_installed_package_adds_it_to_the_command_line(tmp_path):
    wheel = tmp_path / "wren-1.0-py3-none-any.whl"
    make_wheel(
        wheel, TEMPLATE, "[perdure.algorithms]\npenalized-ppo = penalized_ppo:PenalizedPPO\nbroken = no_such_module\n"
    )
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", site, wheel]
    subprocess.run(pip, check=True, capture_output=True, env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    trained = perdure_command(
        *("train", "penalized-ppo", "CartPole-v1", "--penalty", "0.5", "--hidden-sizes", "8"),
        *("--total-timesteps", "256", "--out", "run", "--no-compilation-cache"),
        cwd=tmp_path,
        place=site,
    )
    assert "Trained PenalizedPPO on CartPole-v1" in trained.stdout
    assert "The algorithm broken of wren cannot be imported: ModuleNotFoundError" in " ".join(trained.stderr.split())
    resumed = perdure_command(
        *("resume", "run", "--total-timesteps", "512", "--no-compilation-cache"), cwd=tmp_path, place=site
    )
    assert "for 512 steps" in resumed.stdout


def make_wheel(path, module, entry_points):
    """A wheel of one module."""
    name = path.name.split("-")[0]
    info = f"{name}-1.0.dist-info"
    files = {
        module.name: module.read_text(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": entry_points,
    }
    files[f"{info}/RECORD"] = "".join(f"{one},,\n" for one in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for one, text in files.items():
            archive.writestr(one, text)


def test_the_package_itself_gets_it_with_one_file_and_the_line_that_offers_it(tmp_path):
    scratch = tmp_path / "scratch" / "perdure"
    shutil.copytree(PACKAGE, scratch, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(TEMPLATE, scratch / "algorithm" / "_penalized_ppo.py")
    with (scratch / "algorithm" / "__init__.py").open("a") as file:
        file.write("from ._penalized_ppo import PenalizedPPO as PenalizedPPO\n")
    printed = perdure_command("train", "penalized-ppo", "--help", cwd=tmp_path, place=tmp_path / "scratch").stdout
    assert "--penalty FLOAT" in printed
    code = "from perdure.models import PenalizedPPO; print(PenalizedPPO('CartPole-v1', penalty=2.0, seed=0).algorithm)"
    env = os.environ | {"PYTHONPATH": str(tmp_path / "scratch")}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("PenalizedPPO("), done.stderr


def names_in(path):
    """Every name that the code of a file uses, imports or looks up; not what its texts say."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.ClassDef | ast.alias):
            found.add(node.name)
    return found


NAMES = {path.relative_to(PACKAGE).as_posix(): names_in(path) for path in PACKAGE.rglob("*.py")}
PRESETS = {"models/_liquid.py", "cli/_quickstart.py"}  # they train with one algorithm, as a user does
OURS = [cls for cls in registered_algorithms().values() if cls.__module__.startswith("perdure.")]


@pytest.mark.parametrize("algorithm", OURS, ids=lambda cls: cls.__name__)
def test_an_algorithm_of_ours_is_one_file_and_a_line(algorithm: type[AbstractAlgorithm]):
    """Nothing else in the package knows it: no list of agents, no command, no table of roles."""
    knowing = {path for path, names in NAMES.items() if algorithm.__name__ in names}
    own = f"algorithm/{algorithm.__module__.rpartition('.')[2]}.py"
    assert {own, "algorithm/__init__.py"} <= knowing <= {own, "algorithm/__init__.py", *PRESETS}
    assert getattr(models, algorithm.__name__).algorithm_class is algorithm
