"""Classes change and files stay: each change is made in a copy of the source as CONTRIBUTING.md says, with its step of history.

Then, in fresh processes, the files of the first version load, act and train on to the same bits as without the change. In each
trial something of today differs from what old files mean, so a default in place of a step would be seen.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import perdure
from tests.support import first_version

SOURCE = Path(perdure.__file__).parent
STEPS = "added, became, changed, learned, removed, renamed, reordered, retired"


@dataclass
class Copy:
    """A copy of the source that is changed."""

    folder: Path

    def replace(self, file: str, *pairs: tuple[str, str]) -> None:
        """Replace regular expressions in a file, each of which must be there; `*` stands for all files of the source."""
        files = sorted(self.folder.rglob("*.py")) if file == "*" else [self.folder / file]
        for pattern, replacement in pairs:
            count = 0
            for path in files:
                text, found = re.subn(pattern, replacement, path.read_text(), flags=re.MULTILINE)
                path.write_text(text)
                count += found
            assert count, f"{file} has no {pattern}"

    def step(self, file: str, cls: str, step: str) -> None:
        """Give a class of a file one more step of history."""
        self.replace(
            file, (rf"^(?:@register(?:\(.*\))?\n)(?=(?:@.*\n)*class {cls}\b)", self.decorator(file, cls, step))
        )
        self.let_see(file)

    def decorator(self, file: str, cls: str, step: str) -> str:
        text = (self.folder / file).read_text()
        before = re.search(rf"@register\(.*upgrades=\[(.*)\]\)\n(?:@.*\n)*class {cls}\b", text)
        named = re.search(rf'@register\(name="([^"]*)".*\)\n(?:@.*\n)*class {cls}\b', text)
        name_part = f'name="{named[1]}", ' if named else ""
        steps = ", ".join(filter(None, [before and before[1], step]))
        return f"@register({name_part}upgrades=[{steps}])\n"

    def let_see(self, file: str) -> None:
        path = self.folder / file
        text = path.read_text()
        if (line := f"from perdure._core import {STEPS}\n") not in text:
            path.write_text(re.sub(r"^(?=import |from )", line, text, count=1, flags=re.MULTILINE))

    def append(self, file: str, text: str) -> None:
        path = self.folder / file
        path.write_text(f"{path.read_text()}\n\n{text}")
        self.let_see(file)


def field_added_to_a_module(copy: Copy) -> None:
    """Today's networks add 100 to what they say; those of old files do not, their critics neither."""
    copy.step("network/_mlp.py", "MLP", "added(is_high=False)")
    copy.replace(
        "network/_mlp.py",
        (r"^    final_activation: Activation = eqx.*\n", r"\g<0>    is_high: bool = eqx.field(static=True)\n"),
        (r"self\.activation, self\.final_activation = ", r"self.is_high = True\n        \g<0>"),
        (r"return self\.final_activation\((.*)\)$", r"return self.final_activation(\1) + 100.0 * self.is_high"),
    )


def field_added_to_a_record(copy: Copy) -> None:
    """Today's convolutions see images five times as bright."""
    copy.step("policy/_architecture.py", "Convolutions", "added(gain=1.0)")
    copy.replace(
        "policy/_architecture.py",
        (r"^    scale_pixels: bool = True.*\n", r"\g<0>    gain: float = 5.0\n"),
        (r"return image / 255\.0 if .*", "return self.gain * (image / 255.0 if self.scale_pixels else image / 1.0)"),
    )


def field_renamed(copy: Copy) -> None:
    for cls in ("GRU", "LSTM"):
        copy.step("network/_recurrent.py", cls, 'renamed(recurrent="from_state")')
    copy.replace(
        "network/_recurrent.py",
        (r"self\.recurrent\b", "self.from_state"),
        (r"^    recurrent: Linear", "    from_state: Linear"),
        (r'"recurrent": recurrent', '"from_state": recurrent'),
    )


def classes_renamed(copy: Copy) -> None:
    names = {"MLP": "Perceptron", "GRU": "GatedUnit", "QFunction": "ActionValue", "StatelessSACPolicy": "SoftPolicy"}
    for old, new in names.items():
        copy.replace("*", (rf"(?<![\w\"'.])\b{old}\b(?![\"'])", new))
        copy.append("policy/_history.py", f'retired("{old}", became("{new}"))\n')


def class_split(copy: Copy) -> None:
    copy.replace(
        "network/_mlp.py",
        (
            r"@register\n@final\nclass Linear\(eqx\.Module\):\n(    \"\"\".*\"\"\"\n)\n    weight: (.*)\n    bias: (.*)\n",
            r"def split(linear):\n"
            r"    return Instance('Linear', {'affine': Instance('Affine', linear.fields)}, linear.version)\n\n\n"
            r"@register\n@final\nclass Affine(eqx.Module):\n    weight: \2\n    bias: \3\n\n\n"
            r"@register(upgrades=[split])\n@final\nclass Linear(eqx.Module):\n\1\n    affine: Affine\n\n"
            r"    def __init__(self, weight, bias):\n        self.affine = Affine(weight, bias)\n\n"
            r"    weight = property(lambda self: self.affine.weight)\n    bias = property(lambda self: self.affine.bias)\n",
        ),
        (r"^from perdure\._core import ", "from perdure._core import Instance\n\\g<0>"),
    )


def class_moved(copy: Copy) -> None:
    path = copy.folder / "network/_recurrent.py"
    text = path.read_text()
    state = re.search(r"@register\n@final\nclass LSTMState\(.*?\n\n\n", text, re.DOTALL)
    path.write_text(text.replace(state[0], "from ._lstm_state import LSTMState\n\n\n"))
    head = "from typing import final\n\nimport equinox as eqx\nfrom jaxtyping import Array, Float\n\n"
    moved = f"{head}from perdure._core import register\n\n\n{state[0]}"
    (copy.folder / "network/_lstm_state.py").write_text(moved)


def static_field_to_leaf(copy: Copy) -> None:
    """One that is learned, in target and moments too, and one that is a constant, which these do not have."""
    copy.step("policy/_observation.py", "Normalizer", 'learned(epsilon="float32")')
    copy.replace(
        "policy/_observation.py",
        (r"^    epsilon: float = eqx\.field\(static=True\)", "    epsilon: Array"),
        (r"float\(clip\), float\(epsilon\)", "float(clip), jnp.float32(epsilon)"),
    )
    for file in ("_q", "_quantile_q"):
        name = "QPolicy" if file == "_q" else "QuantileQPolicy"
        for cls in (f"Stateless{name}", f"Stateful{name}"):
            copy.step(f"policy/{file}.py", cls, 'learned(epsilon="float32")')
    copy.replace(
        "policy/_q.py",
        (r"^    epsilon: float = eqx\.field\(static=True\)", "    epsilon: Array"),
        (r"if not 0 <= self\.epsilon <= 1:", "if False:"),
        (r"epsilon=float\(epsilon\)", "epsilon=jnp.float32(epsilon)"),
    )


def settings_changed(copy: Copy) -> None:
    """Today's DQN doubles its targets; the noise of today's TD3 has another name."""
    copy.step("algorithm/_dqn.py", "DQN", "added(factor=1.0)")
    copy.replace(
        "algorithm/_dqn.py",
        (r"^    double: bool = True.*\n", r"\g<0>    factor: NonNegative = 2.0\n"),
        (r"return td_target\((.*)\)$", r"return self.factor * td_target(\1)"),
        (r"^from perdure\._core import register\n", "from perdure._core import NonNegative, register\n"),
    )
    copy.step("algorithm/_td3.py", "TD3", 'renamed(target_noise="blur")')
    copy.replace("algorithm/_td3.py", (r"\btarget_noise\b(?!\")", "blur"))


def fields_reordered(copy: Copy) -> None:
    """The moments of PPO are one vector in the order of the leaves; mean and variance have one shape."""
    copy.step("policy/_observation.py", "Normalizer", "reordered()")  # no parameters: no sums over them
    copy.replace("policy/_observation.py", (r"^(    mean: .*\n)(    variance: .*\n)(    count)", r"\2\1\3"))
    for cls in ("StatelessActorCriticPolicy", "StatefulActorCriticPolicy"):
        former = '"observation_space", "action_space", "body", "actor", "critic", "head", "gsde_interval"'
        copy.step("policy/_actor_critic.py", cls, f"reordered({former})")
    copy.replace("policy/_actor_critic.py", (r"^(    actor: MLP.*\n)(    critic: MLP.*\n)", r"\2\1"))


def states_changed(copy: Copy) -> None:
    """The environment has wind now; states of trainings and of environments have other names and fields."""
    copy.step("env/classic_control/_cart_pole.py", "CartPole", "added(wind=0.0)")
    copy.replace(
        "env/classic_control/_cart_pole.py",
        (r"^    dt: float = .*\n", r"\g<0>    wind: float = 5.0\n"),
        (r"self\.force, -self\.force\)", r"self.force, -self.force) + self.wind"),
    )
    copy.step("env/wrapper/_time_limit.py", "TimeLimitState", 'renamed(steps="count")')
    copy.replace("env/wrapper/_time_limit.py", (r"^    steps: ", "    taken: "), (r"state\.steps", "state.taken"))
    copy.replace("env/wrapper/_time_limit.py", (r'steps="count"', 'steps="taken"'))
    copy.step("algorithm/_rollout.py", "Rollout", 'renamed(episode_length="episode_steps")')
    copy.replace("algorithm/_rollout.py", (r"^    episode_length: ", "    episode_steps: "))
    copy.replace("algorithm/_rollout.py", (r"\bat\.episode_length\b", "at.episode_steps"))
    copy.replace("algorithm/_host.py", (r"rollout\.episode_length\b", "rollout.episode_steps"))
    copy.step(
        "algorithm/_soft.py",
        "SoftLearner",
        'renamed(log_temperature="log_alpha", temperature_optimizer="alpha_optimizer")',
    )
    copy.replace(
        "algorithm/_soft.py",
        (r"^    log_temperature: ", "    log_alpha: "),
        (r"^    temperature_optimizer: ", "    alpha_optimizer: "),
        (r"learner\.log_temperature\b", "learner.log_alpha"),
        (r"learner\.temperature_optimizer\b", "learner.alpha_optimizer"),
    )


def everything(copy: Copy) -> None:
    changes = [
        class_split,
        field_added_to_a_record,
        field_renamed,
        settings_changed,
        states_changed,
        static_field_to_leaf,
    ]
    for change in [*changes, field_added_to_a_module, classes_renamed]:
        change(copy)


TRIALS = {  # the change, files that it concerns, and whether there are more arrays than before
    "a field added to a module": (field_added_to_a_module, ["MLPSAC", "MLPQ", "trainings/SAC"], False),
    "a field added to a record": (field_added_to_a_record, ["CNNQ", "CNNActorCritic"], False),
    "a field renamed": (field_renamed, ["RecurrentQ", "RecurrentActorCritic", "trainings/TD3"], False),
    "classes renamed": (classes_renamed, ["MLPSAC", "RecurrentSAC", "trainings/DDPG"], False),
    "a class split": (class_split, ["RecurrentQ", "MLPActorCritic", "trainings/PPO"], False),
    "a class moved": (class_moved, ["RecurrentActorCritic"], False),
    "static fields made leaves": (
        static_field_to_leaf,
        ["MLPQ", "MLPActorCritic", "trainings/DQN", "trainings/TQC"],
        True,
    ),
    "settings changed": (settings_changed, ["trainings/DQN"], False),
    "fields reordered": (fields_reordered, ["MLPActorCritic", "trainings/PPO"], False),
    "states changed": (states_changed, ["trainings/SAC", "trainings/PPO"], False),
    "everything at once": (everything, ["LiquidSAC", "trainings/QRDQN", "trainings/TQC"], True),
}


def outcomes(source: Path, names: list[str]) -> dict:
    program = [sys.executable, first_version.__file__, str(first_version.FOLDER), *names]
    environment = {**os.environ, "PYTHONPATH": str(source)}
    done = subprocess.run(program, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("trial", TRIALS)
def test_old_files_outlive(trial, tmp_path):
    change, names, has_more = TRIALS[trial]
    wanted = outcomes(SOURCE.parent, names)
    shutil.copytree(SOURCE, tmp_path / "perdure", ignore=shutil.ignore_patterns("__pycache__"))
    change(Copy(tmp_path / "perdure"))
    found = outcomes(tmp_path, names)
    assert set(found) == set(wanted) == set(names)
    for name in names:
        assert found[name]["actions"] == wanted[name]["actions"], name
        for what in wanted[name].keys() - {"actions", "is_named"}:
            if has_more:
                assert set(found[name][what]) >= set(wanted[name][what]), (name, what)
            else:
                assert found[name][what] == wanted[name][what], (name, what)


def test_a_trial_that_says_nothing_would_fail(tmp_path):
    """Without its step the change of a trial is refused: the trials can fail."""
    shutil.copytree(SOURCE, tmp_path / "perdure", ignore=shutil.ignore_patterns("__pycache__"))
    copy = Copy(tmp_path / "perdure")
    field_added_to_a_record(copy)
    copy.replace("policy/_architecture.py", (r", added\(gain=1\.0\)", ""))
    with pytest.raises(AssertionError, match="the file has Convolutions with the fields"):
        outcomes(tmp_path, ["CNNQ"])
