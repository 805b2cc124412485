"""States of optimisers in files: a form of ours, by parameter, that no release of optax changes."""

import json
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import Array

from perdure._core import FileFormatError, leaves_with_paths
from perdure.algorithm import PPO
from perdure.algorithm._math import OPTIMIZERS, clip_by_global_norm, flattened, new_optimizer
from perdure.checkpoint import _optimizer_state, save
from perdure.checkpoint._optimizer_state import portable, restored
from perdure.checkpoint._tensors import read_header
from perdure.env.classic_control import CartPole
from perdure.policy import MLPActorCriticPolicy
from tests.support import first_version
from tests.support.first_version import FOLDER

OTHER_OPTAX = os.environ.get("PERDURE_OTHER_OPTAX")  # a folder with another release of optax and what it needs


class Net(eqx.Module):
    weight: Array
    bias: Array


@pytest.fixture
def parameters() -> Net:
    return Net(jnp.arange(6.0).reshape(2, 3), jnp.ones(3))


def numbered(tree):
    """The tree with another number in each entry."""
    leaves, structure = jax.tree.flatten(tree)
    ends = np.cumsum([leaf.size for leaf in leaves])
    numbers = [np.arange(end - x.size, end).reshape(x.shape) for x, end in zip(leaves, ends, strict=True)]
    return structure.unflatten([jnp.asarray(n, x.dtype) for n, x in zip(numbers, leaves, strict=True)])


def paths(tree) -> list[str]:
    return [path for path, _ in leaves_with_paths(tree)]


MOMENTS = {
    "adam": ["adam.first_moment", "adam.second_moment"],
    "adamw": ["adam.first_moment", "adam.second_moment"],
    "nadam": ["adam.first_moment", "adam.second_moment"],
    "adabelief": ["belief.first_moment", "belief.second_moment"],
    "lion": ["lion.first_moment"],
    "rmsprop": ["rms.second_moment"],
    "sgd": [],
}


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("schedule", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimiser_has_our_words_and_comes_back(name, schedule, flat, parameters):
    rate = optax.linear_schedule(1.0, 0.0, 10) if schedule else 1e-3
    optimizer = new_optimizer(name, rate, 1.0)
    state = numbered((flattened(optimizer) if flat else optimizer).init(parameters))
    form = portable(state, parameters)
    counts = [f"{stage}.steps" for stage in ("adam", "belief", "lion") if f"{stage}.first_moment" in MOMENTS[name]]
    moments = [f"{moment}.{leaf}" for moment in MOMENTS[name] for leaf in ("weight", "bias")]
    assert sorted(paths(form)) == sorted([*counts, *moments, *(["schedule.steps"] if schedule else [])])
    back = restored(jax.eval_shape(lambda: state), parameters, form)
    assert jax.tree.structure(back) == jax.tree.structure(state)
    assert all(map(np.array_equal, jax.tree.leaves(back), jax.tree.leaves(state)))


def test_a_vector_of_moments_is_told_apart_by_parameter(parameters):
    state = numbered(flattened(optax.adam(1e-3)).init(parameters))
    moment = portable(state, parameters)["adam"]["first_moment"]
    np.testing.assert_array_equal(moment.weight, [[1, 2, 3], [4, 5, 6]])  # 0 is the count
    np.testing.assert_array_equal(moment.bias, [7, 8, 9])


def test_shapes_have_the_same_form(parameters):
    optimizer = flattened(new_optimizer("adam", 1e-3, 1.0))
    shapes = portable(jax.eval_shape(lambda: optimizer.init(parameters)), parameters)
    assert paths(shapes) == paths(portable(optimizer.init(parameters), parameters))
    assert shapes["adam"]["second_moment"].weight.shape == (2, 3)


def test_two_of_a_kind_are_counted_and_nested_states_found(parameters):
    inner = optax.inject_hyperparams(optax.sgd)(learning_rate=0.1, momentum=0.9)
    chain = optax.chain(optax.scale_by_schedule(lambda _: 1.0), inner, optax.scale_by_schedule(lambda _: 1.0))
    state = numbered(chain.init(parameters))
    form = portable(state, parameters)
    assert {"schedule.steps", "schedule_2.steps"} <= {*paths(form)}
    assert any(path.endswith("momentum.first_moment.weight") for path in paths(form))
    back = restored(state, parameters, form)
    assert all(map(np.array_equal, jax.tree.leaves(back), jax.tree.leaves(state)))


def test_masked_and_labelled_states_come_back():
    parameters = {"a": jnp.ones(2), "b": jnp.ones(3)}
    transforms = {"fast": optax.adam(1e-2), "slow": optax.sgd(1e-3, momentum=0.9)}
    state = numbered(optax.multi_transform(transforms, {"a": "fast", "b": "slow"}).init(parameters))
    back = restored(state, parameters, portable(state, parameters))
    assert all(map(np.array_equal, jax.tree.leaves(back), jax.tree.leaves(state)))


class AdamState(NamedTuple):  # as a later optax may have it: other names, another order, one level deeper
    nu: Net
    m: Net
    count: Array


def test_another_release_of_optax_reads_what_this_one_wrote(parameters, monkeypatch):
    written = numbered(new_optimizer("adam", 1e-3, 1.0).init(parameters))
    form = portable(written, parameters)
    blank = ((optax.EmptyState(),), (AdamState(parameters, parameters, jnp.zeros((), jnp.int32)),))
    names = {"count": "steps", "m": "first_moment", "nu": "second_moment"}
    monkeypatch.setitem(_optimizer_state.NAMES, "AdamState", ("adam", names))
    found = restored(blank, parameters, form)[1][0]
    wanted = written[1][0]
    for name, old in (("m", wanted.mu), ("nu", wanted.nu), ("count", wanted.count)):
        assert all(map(np.array_equal, jax.tree.leaves(getattr(found, name)), jax.tree.leaves(old)))


def test_an_optimiser_that_wants_other_states_is_refused(parameters):
    form = portable(optax.sgd(1e-3, momentum=0.9).init(parameters), parameters)
    with pytest.raises(FileFormatError, match=r"no 'adam', which the installed optax"):
        restored(optax.adam(1e-3).init(parameters), parameters, form)
    other = namedtuple("ScaleByAdamState", "count mu third")(jnp.zeros(()), parameters, parameters)
    with pytest.raises(FileFormatError, match="no 'third'"):
        restored(other, parameters, portable(optax.adam(1e-3).init(parameters), parameters))


def test_the_moments_of_ppo_are_saved_by_parameter(tmp_path):
    algorithm, env = PPO(num_envs=2, num_steps=4), CartPole()
    policy = MLPActorCriticPolicy(env, hidden_sizes=(3,), key=jax.random.key(0))
    save(tmp_path / "a", algorithm, algorithm.init(env, policy, key=jax.random.key(1)))
    with (tmp_path / "a" / "optim_state.safetensors").open("rb") as file:
        tensors = read_header(file, os.stat(file.name).st_size)[0]
    assert "optimizer_state.adam.first_moment.actor.layers.0.weight" in tensors
    assert len(tensors) == 1 + 2 * len(jax.tree.leaves(eqx.filter(policy, eqx.is_inexact_array)))


def test_clipping_is_that_of_optax(parameters):
    ours, theirs = clip_by_global_norm(0.5), optax.clip_by_global_norm(0.5)
    (a, _), (b, _) = (clip.update(parameters, clip.init(parameters)) for clip in (ours, theirs))
    assert all(map(np.array_equal, jax.tree.leaves(a), jax.tree.leaves(b)))


SAVE_ON = """
import sys
from pathlib import Path
import optax
from perdure.checkpoint import load, save
from tests.support.first_version import trained_on
source, target, wanted = sys.argv[1:]
assert optax.__version__ == wanted, optax.__version__
found = load(source)
save(target, found.algorithm, trained_on(Path(source)))
"""


@pytest.mark.slow
@pytest.mark.skipif(OTHER_OPTAX is None, reason="PERDURE_OTHER_OPTAX names no folder with another release of optax")
def test_trainings_go_from_one_release_of_optax_to_another_and_back(tmp_path):
    """The first version's files, trained on with another release, saved, trained on with the installed one: the same bits."""
    name = "PPO"  # adam, a schedule, a vector of all parameters
    other = next(Path(OTHER_OPTAX).glob("optax-*.dist-info")).name.split("-")[1].removesuffix(".dist")
    assert other != optax.__version__, f"PERDURE_OTHER_OPTAX has {other}, which is installed"
    root = Path(__file__).parents[2]

    def run(program: list[str], *, optax_folder: str | None) -> str:
        path = os.pathsep.join([*([optax_folder] if optax_folder else []), str(root)])
        done = subprocess.run(program, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, cwd=root)
        assert done.returncode == 0, done.stderr
        return done.stdout

    for first, second, version in ((OTHER_OPTAX, None, other), (None, OTHER_OPTAX, optax.__version__)):
        there = tmp_path / version / "trainings" / name
        run([sys.executable, "-c", SAVE_ON, str(FOLDER / "trainings" / name), str(there), version], optax_folder=first)
        program = [sys.executable, first_version.__file__, str(tmp_path / version), f"trainings/{name}"]
        found = json.loads(run(program, optax_folder=second))
        mine = tmp_path / f"{version}-all" / "trainings" / name
        run([sys.executable, "-c", SAVE_ON, str(FOLDER / "trainings" / name), str(mine), version], optax_folder=first)
        program[2] = str(tmp_path / f"{version}-all")
        assert found == json.loads(run(program, optax_folder=first))
