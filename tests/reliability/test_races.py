"""Many processes in one folder: of checkpoints, and of a run."""

import os
import signal
import subprocess
import time

import pytest

from perdure._core import OWNER
from perdure.algorithm import PPO
from perdure.checkpoint import latest, read_policy_header, verify
from perdure.cli._evaluate import evaluate
from perdure.cli._inspect import inspect
from perdure.cli._resume import resume
from perdure.cli._train import train
from perdure.policy import MLPBody
from tests.reliability.test_kill import Server
from tests.support.command_line import PERDURE
from tests.support.reliability_kit import count, marker_of

pytestmark = pytest.mark.reliability


@pytest.mark.parametrize("with_exchange", [True, False], ids=["exchange", "no exchange"])
def test_a_writer_a_pruner_and_two_readers_lose_and_misjudge_nothing(small, tmp_path, figures, with_exchange):
    server = Server(small, tmp_path, with_exchange=with_exchange)
    folder, seconds = tmp_path / "saves", count(3, 60)
    answer = server("race", folder=str(folder), seconds=seconds, roles=["writer", "pruner", "reader", "reader"])
    server.close()
    did = answer["did"]
    figures(seconds=seconds, **did, lost=len(answer["errors"]), misjudged=int((folder / "broken").exists()))
    assert answer["errors"] == []
    assert min(did["saves"], did["prunes"], did["reads"]) > 5
    last = did["saves"]
    assert latest(folder) == folder / str(last)
    assert sorted(os.listdir(folder)) == sorted([str(last - 1), str(last)])
    assert marker_of(folder / str(last)) == last


SMALL = ("--hidden-sizes", "4", "--num-envs", "2", "--num-steps", "64", "--checkpoints", "500")
TRAIN = ("train", "ppo", "CartPole-v1", *SMALL, "--out", "run")


def started(*arguments, cwd):
    environment = {**os.environ, "XDG_CACHE_HOME": str(cwd / "cache"), "COLUMNS": "200"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([PERDURE, *arguments], cwd=cwd, env=environment, **pipes)


def wait_for(found, process):
    deadline = time.monotonic() + 300
    while not found() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert found(), process.communicate()


def test_of_two_trainers_that_start_at_once_one_is_refused_and_the_other_leaves_a_whole_run(tmp_path, figures):
    cases, waited = count(1, 20), 0
    for case in range(cases):
        home = tmp_path / str(case)
        home.mkdir()
        both = [started(*TRAIN, "--total-timesteps", "4096", "--seed", seed, cwd=home) for seed in ("1", "2")]
        told = [process.communicate()[1] for process in both]
        codes = [process.returncode for process in both]
        assert sorted(codes) == [0, 1], told
        winner = codes.index(0)
        refusal = " ".join(told[1 - winner].split())
        is_in_use = f"run is in use by process {both[winner].pid} on" in refusal
        assert is_in_use or "exists. Choose another folder" in refusal  # the first one may have ended
        waited += is_in_use
        header = read_policy_header(home / "run/policy.safetensors")
        assert header.metadata["seed"] == winner + 1
        rows = (home / "run/learning_curve.csv").read_text().splitlines()
        assert len({len(row.split(",")) for row in rows}) == 1
        steps = [int(row.split(",")[0]) for row in rows[1:]]
        assert steps == sorted(set(steps))
        assert verify(latest(home / "run/saves"))["metadata"]["seed"] == winner + 1
        assert OWNER not in os.listdir(home / "run")
    figures(pairs=cases, refused=cases, refused_while_the_other_trained=waited, mixed=0)


ENDS = [signal.SIGKILL, signal.SIGTERM][: count(1, 2)]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.name)
def test_a_run_that_is_trained_further_and_ended_is_used_as_far_as_it_came(tmp_path, figures, capsys, end):
    algorithm = PPO(num_envs=2, num_steps=64, num_minibatches=1)
    run, settings = tmp_path / "run", {"total_timesteps": 4096, "checkpoints": 500, "compilation_cache": False}
    train(algorithm, "CartPole-v1", MLPBody(hidden_sizes=(4,)), out=run, **settings)
    training = started("resume", "run", "--total-timesteps", "40_000_000", cwd=tmp_path)
    saves = run / "saves"
    before = set(saves.glob("CartPole_*"))
    try:
        wait_for(lambda: (run / OWNER).exists(), training)
        with pytest.raises(BlockingIOError, match=rf"run is in use by process {training.pid} on"):
            resume(run, compilation_cache=False)
        wait_for(lambda: not before & set(saves.glob("CartPole_*")), training)  # both have made room for newer ones
    finally:
        training.send_signal(end)
        training.communicate()
    newest = verify(latest(saves))["steps"]
    assert newest > 4096
    capsys.readouterr()
    evaluate(run, episodes=2, compilation_cache=False)
    inspect(run)
    assert capsys.readouterr().out.count(f"run: step {newest:,}, ") == 2
    figures(runs=1, newest_used=1)
