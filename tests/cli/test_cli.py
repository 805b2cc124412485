"""The command line, run as a user runs it: each command in a process of its own."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from perdure.checkpoint import read_policy_header
from perdure.cli._export import calibration_of
from tests.support.command_line import PERDURE, perdure


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short training, whose output is in `folder / "train.txt"`."""
    folder = tmp_path_factory.mktemp("cli")
    arguments = ("--total-timesteps", "8_192", "--learning-rate", "1e-3", "--hidden-sizes", "16", "--seed", "3")
    done = perdure("train", "ppo", "CartPole-v1", *arguments, "--out", "runs/cartpole", cwd=folder)
    (folder / "train.txt").write_text(done.stdout)
    return folder


def test_train_leaves_a_policy_that_says_what_it_is(run):
    metadata = read_policy_header(run / "runs/cartpole/policy.safetensors").metadata
    assert metadata["environment"] == "CartPole-v1"
    assert metadata["algorithm"] == "PPO"
    assert metadata["settings"]["learning_rate"] == 1e-3
    assert (metadata["steps"], metadata["seed"]) == (8192, 3)
    printed = " ".join((run / "train.txt").read_text().split())
    assert "runs/cartpole/policy.safetensors" in printed
    assert "runs/cartpole/learning_curve.csv, learning_curve.png" in printed


def test_train_leaves_a_learning_curve(run):
    with open(run / "runs/cartpole/learning_curve.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert int(rows[-1]["step"]) == 8192
    assert float(rows[-1]["episode_return"]) > 20
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    assert (run / "runs/cartpole/learning_curve.png").read_bytes().startswith(b"\x89PNG")


def test_train_turns_the_compilation_cache_on_unless_told_not_to(run, tmp_path):
    assert any((run / "cache/perdure/jax").iterdir())
    arguments = ("train", "ppo", "CartPole-v1", "--total-timesteps", "512", "--no-compilation-cache")
    perdure(*arguments, cwd=tmp_path)
    assert not (tmp_path / "cache/perdure").exists()
    assert (tmp_path / "runs/ppo-CartPole-v1/policy.safetensors").exists()


def test_train_does_not_replace_an_earlier_result_unasked(run):
    done = perdure("train", "ppo", "CartPole-v1", "--out", "runs/cartpole", cwd=run, check=False)
    assert done.returncode == 1
    assert "--force" in done.stderr


def test_evaluate_prints_the_returns(run):
    printed = perdure("evaluate", "runs/cartpole", "--episodes", "5", cwd=run).stdout
    assert "StatelessActorCriticPolicy on CartPole-v1" in printed
    assert "mean return" in printed


def test_inspect_shows_what_the_file_holds(run):
    printed = perdure("inspect", "runs/cartpole", cwd=run).stdout
    assert "(checked)" in printed
    assert "float32[16,4]" in printed
    assert "CartPole-v1" in printed


def test_inspect_refuses_a_damaged_file(run, tmp_path):
    content = bytearray((run / "runs/cartpole/policy.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "policy.safetensors").write_bytes(content)
    done = perdure("inspect", tmp_path, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert "damaged" in done.stderr


def test_export_then_verify_from_the_folder_alone(run, tmp_path):
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    settings = ("--to", "onnx", "--out", tmp_path / "deploy", "--no-deterministic")
    printed = perdure("export", "runs/cartpole", *settings, cwd=run).stdout
    assert "onnxruntime" in printed
    assert '"distribution": "uniform"' in (tmp_path / "deploy" / "manifest.json").read_text()
    moved = shutil.move(tmp_path / "deploy", tmp_path / "elsewhere")
    assert "onnxruntime" in perdure("verify", moved, cwd=tmp_path).stdout
    model = Path(moved) / "policy.onnx"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    done = perdure("verify", moved, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert "policy.onnx" in done.stderr


def test_an_int8_export_is_fitted_where_the_policy_was_trained(run, tmp_path):
    pytest.importorskip("ai_edge_litert", reason="needs the extra tflite")
    printed = perdure("export", "runs/cartpole", "--to", "tflite-int8", "--out", tmp_path / "deploy", cwd=run).stdout
    text = " ".join(printed.split())
    assert "near to the policy and not equal" in text
    assert "(20 episodes in CartPole); return " in text
    assert "edgetpu_compiler policy_int8.tflite" in text


def test_what_an_int8_export_is_fitted_to():
    assert calibration_of({"environment": "CartPole-v1"}, ["onnx", "tflite"], None) is None
    assert calibration_of({}, ["tflite-int8"], "space") is None
    assert calibration_of({}, ["c-int8"], "rows.npz") == Path("rows.npz")
    assert calibration_of({"environment": "CartPole-v1"}, ["c-int8"], None).name == "CartPole"
    assert calibration_of({"environment": "CartPole-v1"}, ["c-int8"], "Acrobot-v1").name == "Acrobot"
    with pytest.raises(ValueError, match="Add --calibration with an environment's name"):
        calibration_of({}, ["tflite-int8"], None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "ppo", "CartPol-v1"), "CartPole-v1"),
        (("train", "ppo", "CartPole-v1", "--num-minibatches", "3"), "does not divide"),
        (("train", "ppo", "CartPole-v1", "--activation", "tanhh"), "tanh"),
        (("train", "dqn", "Pendulum-v1"), "Discrete"),
        (("evaluate", "nowhere"), "There is no policy at nowhere"),
        (("export", "nowhere", "--out", "x"), "There is no policy at nowhere"),
        (("verify", "nowhere"), "nowhere"),
    ],
)
def test_mistakes_are_told_in_one_message_without_a_traceback(arguments, message, tmp_path):
    done = perdure(*arguments, cwd=tmp_path, check=False)
    assert done.returncode in (1, 2)  # 2 where the parser found it
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_evaluate_refuses_another_task(run):
    done = perdure("evaluate", "runs/cartpole", "--env", "Pendulum-v1", cwd=run, check=False)
    assert done.returncode == 1
    assert "policy.observation_space is" in done.stderr


def test_ctrl_c_keeps_what_was_learned(tmp_path):
    arguments = ["train", "ppo", "CartPole-v1", "--total-timesteps", "20_000_000", "--out", "run"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # whoever runs the tests may have SIGINT ignored, which processes inherit
    hearing = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
    )
    training = subprocess.Popen([sys.executable, "-c", hearing, PERDURE, *arguments], cwd=tmp_path, **pipes)
    curve = tmp_path / "run/learning_curve.csv"
    wait_for(lambda: curve.exists() and curve.stat().st_size, training)
    training.send_signal(signal.SIGINT)
    printed, errors = training.communicate(timeout=300)
    assert training.returncode == 0, errors
    assert "warning: Interrupted after" in " ".join(errors.split())
    steps = read_policy_header(tmp_path / "run/policy.safetensors").metadata["steps"]
    assert 0 < steps < 20_000_000
    assert f"{steps:,} steps" in " ".join(printed.split())


def metrics_in(path):
    """The rows of a learning curve without what depends on the clock."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: x for name, x in row.items() if name not in ("seconds", "steps_per_second")} for row in rows]


def wait_for(found, process):
    deadline = time.monotonic() + 300
    while not found() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert found()


def test_a_killed_training_is_resumed_and_ends_the_same(tmp_path):
    arguments = ["train", "dqn", "CartPole-v1", "--total-timesteps", "100_000", "--hidden-sizes", "8", "--out"]
    perdure(*arguments, "whole", cwd=tmp_path)
    training = subprocess.Popen([PERDURE, *arguments, "killed"], cwd=tmp_path, stderr=subprocess.DEVNULL)
    saves = tmp_path / "killed/saves"
    wait_for(lambda: saves.exists() and len(list(saves.glob("CartPole_*"))) > 1, training)
    training.kill()
    assert training.wait() != 0
    refused = perdure(*arguments, "killed", cwd=tmp_path, check=False)
    assert refused.returncode == 1
    assert "holds a training that did not end. Go on with it: perdure resume killed." in " ".join(
        refused.stderr.split()
    )
    printed = perdure("resume", "killed", cwd=tmp_path).stdout
    assert "100,000 steps" in " ".join(printed.split())
    whole, killed = (tmp_path / name / "policy.safetensors" for name in ("whole", "killed"))
    assert whole.read_bytes() == killed.read_bytes()
    assert metrics_in(whole.with_name("learning_curve.csv")) == metrics_in(killed.with_name("learning_curve.csv"))
    assert len(list(saves.glob("CartPole_*"))) == 2
    done = perdure("resume", "killed", cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert "To train for longer, add --total-timesteps" in " ".join(done.stderr.split())
    perdure("resume", "killed", "--total-timesteps", "101_000", cwd=tmp_path)
    assert read_policy_header(killed).metadata["steps"] == 101_008  # whole iterations
    # and the same folders for the commands that show what is saved
    printed = perdure("inspect", "killed/saves/CartPole_101008", cwd=tmp_path).stdout
    for text in ("101,008", "buffer_state.safetensors", "(checked)", "learning_rate", "policy.observation_space"):
        assert text in printed
    printed = " ".join(perdure("diff", "whole", "killed", cwd=tmp_path).stdout.split())
    assert "the policies act differently on" in printed
    assert "│ steps │ 100000 │ 101008" in printed
    printed = " ".join(perdure("diff", "whole/saves/CartPole_100000", "whole", cwd=tmp_path).stdout.split())
    assert "the policies act differently on 0.00%; the largest difference is 0." in printed
    assert perdure("evaluate", "killed/saves/CartPole_101008", "--episodes", "3", cwd=tmp_path).returncode == 0


@pytest.mark.slow
def test_quickstart_plays_the_exported_file_without_jax(tmp_path):
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    pytest.importorskip("gymnasium", reason="needs the extra gym")
    printed = perdure("quickstart", cwd=tmp_path).stdout
    assert "20 episodes of CartPole-v1, played by policy.onnx" in printed
    assert {p.name for p in (tmp_path / "perdure-quickstart").iterdir()} >= {"policy.safetensors", "deploy"}
    player = Path(__file__).parents[2] / "src/perdure/cli/_play_onnx.py"
    model = tmp_path / "perdure-quickstart/deploy/policy.onnx"
    command = [sys.executable, player, model, "CartPole-v1", "20"]
    played = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert sum(played["returns"]) / 20 >= 475
    assert not played["jax_imported"]
