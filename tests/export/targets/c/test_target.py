"""The C target: proven through a real compiler, clean under every compiler and sanitizer there is, the loader."""

import dataclasses
import json
import re
import subprocess

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import perdure.export.targets._registry as targets
import perdure.export.targets.c._build as building
import perdure.export.targets.c._target as targeting
from perdure._core import ExportError
from perdure.export import export, verify
from perdure.export.program import lower
from perdure.export.proof._observations import broken_inputs, make_inputs
from perdure.export.proof._tolerance import near_ties
from perdure.export.targets.c import C, build, load, write_c
from perdure.export.targets.c._interface import argument_name
from perdure.graph import interpret
from perdure.space import Box, Dict, Discrete
from tests.support.export.c_compilers import (
    COMPILERS,
    DRIVER,
    STRICT,
    compiler,
    needs_compiler,
    rows_as_bytes,
    rows_from_bytes,
    run,
)
from tests.support.export.comparison import worst_error
from tests.support.export.policies import (
    CONTINUOUS,
    OBSERVATION,
    POLICIES,
    Stateless,
    continuous,
    discrete,
    mlp,
    recurrent,
)

pytestmark = needs_compiler


def write(folder, policy, name="policy", **settings):
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in write_c(lower(policy, name=name, **settings), name).items():
        (folder / file).write_text(text)
    return folder / f"{name}.c"


@pytest.mark.parametrize("kind", POLICIES)
def test_every_kind_of_policy_is_proven_in_c_and_verifies(kind, tmp_path):
    (row,) = export(POLICIES[kind](), tmp_path / "deploy", ["c"]).targets
    assert row.observations >= 1000
    assert row.max_error <= 1e-5
    assert row.actions_equal + row.ties == row.observations
    assert verify(tmp_path / "deploy", trust=True).targets[0].max_error <= 1e-5


def test_masks_are_proven(tmp_path):
    for kind in ("discrete", "several"):
        row = export(POLICIES[kind](), tmp_path / kind, ["c"], action_mask=True).targets[0]
        assert row.actions_equal == row.observations - row.ties


def test_the_folder_has_source_header_self_test_and_what_memory_it_takes(tmp_path):
    export(recurrent(), tmp_path / "deploy", ["c"], name="arm")
    files = {"arm.c", "arm.h", "arm_test.c"}
    assert {p.name for p in (tmp_path / "deploy").iterdir()} == files | {"golden.safetensors", "manifest.json"}
    manifest = json.loads((tmp_path / "deploy" / "manifest.json").read_text())
    assert set(manifest["targets"]["c"]["files"]) == files <= set(manifest["files"])
    memory = manifest["targets"]["c"]["memory"]
    assert memory["state_bytes"] == 8 * 4
    weights = 4 * (24 * 4 + 24 * 8 + 24 + 8 + 2 * 8 + 2 + 2 + 2)  # GRU and head, and the bounds of the action
    assert weights < memory["flash_bytes"] < weights + 8192
    assert memory["workspace_bytes"] <= 88 * 4
    assert 0 <= memory["stack_bytes"] < 512


def test_the_workspace_is_shared_by_lifetime(tmp_path):
    class Deep(Stateless):
        def choose(self, observation, action_mask):
            x = observation
            for layer in self.net:
                x = layer(x)
            return jnp.tanh(x[:2])

    layers = [mlp(4 if k == 0 else 64, 64, k, width=64) for k in range(8)]
    text = write_c(lower(Deep(OBSERVATION, Box(-9, 9, (2,)), layers)), "policy")["policy.h"]
    (size,) = map(int, re.findall(r"float f\[(\d+)\]", text))
    assert size <= 3 * 64  # of 24 layers, what goes in and what comes out


@pytest.fixture(scope="module", params=["several", "mixed", "attention", "convolution", "recurrent"])
def exported(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    export(POLICIES[request.param](), folder, ["c"], num_observations=50)
    return folder


@pytest.mark.parametrize("name", COMPILERS)
def test_every_compiler_takes_it_without_a_warning(name, exported, tmp_path):
    command = compiler(name)
    for flags in ([], ["-DPERDURE_LIBRARY"], ["-DPERDURE_LIBM"]):
        run(*command, *STRICT, "-O2", *flags, "-c", exported / "policy.c", "-o", tmp_path / "policy.o")
    run(*command, *STRICT, "-O2", "-c", exported / "policy_test.c", "-o", tmp_path / "test.o")
    run(
        *command[:-2] if "++" in name else command,
        tmp_path / "policy.o",
        tmp_path / "test.o",
        "-o",
        tmp_path / "test",
        "-lm",
    )
    assert " 0 of " in run(tmp_path / "test")


def test_fast_math_is_refused_by_the_compiler(tmp_path):
    source = write(tmp_path, discrete())
    command = [*compiler("gcc"), "-ffast-math", "-c", source, "-o", tmp_path / "policy.o"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert "-ffast-math: it takes the checks for not-a-number away" in done.stderr


def test_the_self_test_notices_a_changed_weight(tmp_path):
    export(continuous(), tmp_path / "deploy", ["c"], num_observations=50)
    source = tmp_path / "deploy" / "policy.c"
    text = source.read_text()
    at = text.index("0.", text.index("static const float w_net_layers_2_bias"))
    source.write_text(f"{text[:at]}7.{text[at + 2 :]}")
    run(*compiler("gcc"), source, tmp_path / "deploy" / "policy_test.c", "-o", tmp_path / "test", "-lm")
    done = subprocess.run([tmp_path / "test"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "vector 0 differs" in done.stdout


def test_an_export_that_differs_is_not_written(tmp_path, monkeypatch):
    def broken(program, directory, name):
        written = C.write(program, directory, name)
        source = directory / written.run
        source.write_text(source.read_text().replace("fast_tanh(v", "0.999f * fast_tanh(v"))
        return written

    monkeypatch.setitem(targets.TARGETS, "c", dataclasses.replace(C, write=broken))
    with pytest.raises(ExportError, match=r"(?s)export to c: .* give another answer.*policy: action.*c: action"):
        export(continuous(), tmp_path / "deploy", ["c"])
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_finite_are_refused_by_name(tmp_path):
    policy = continuous()
    broken = eqx.tree_at(lambda p: p.net.layers[1].bias, policy, policy.net.layers[1].bias.at[3].set(jnp.nan))
    with pytest.raises(ExportError, match=r"export to c: 'net\.layers\[1\]\.bias'\[3\] is nan"):
        export(broken, tmp_path / "deploy", ["c"])


@pytest.mark.parametrize("kind", POLICIES)
def test_sanitizers_find_nothing_over_ten_thousand_vectors(kind, tmp_path):
    policy = POLICIES[kind]()
    has_choices = policy.action_space.mask_size > 0 and kind in ("discrete", "several")
    program = lower(policy, action_mask=has_choices)
    for file, text in write_c(program, "policy").items():
        (tmp_path / file).write_text(text)
    (tmp_path / "driver.c").write_text(DRIVER)
    flags = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    command = [*compiler("gcc"), *flags, "-DPERDURE_LIBRARY", tmp_path / "policy.c", tmp_path / "driver.c"]
    done = subprocess.run([*command, "-o", tmp_path / "driver", "-lm"], capture_output=True, text=True)
    if "cannot find" in done.stderr:
        pytest.skip("the sanitizers' libraries are not installed (libasan, libubsan)")
    assert done.returncode == 0, done.stderr
    good = make_inputs(policy, program.signature, 10_000, seed=3)
    broken = broken_inputs(program.signature, good)
    rows = {k: np.concatenate([x, broken[k]]) for k, x in good.items()}
    assert len(next(iter(rows.values()))) >= 10_000
    done = subprocess.run([tmp_path / "driver"], input=rows_as_bytes(list(rows.values())), capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    want = list(interpret(program.graph, rows).values())
    firm = ~near_ties(program.plain, rows)
    got = rows_from_bytes(done.stdout, want)
    assert worst_error([x[firm] for x in got], [x[firm] for x in want]) < 1e-4


def test_the_loader_plays_as_the_policy_does(tmp_path):
    policy = continuous()
    played = load(build(write(tmp_path, policy)))
    for row in np.random.default_rng(0).standard_normal((20, 4)):
        np.testing.assert_allclose(played(row), policy(None, jnp.asarray(row, jnp.float32))[1], atol=1e-5)
    np.testing.assert_allclose(played([1, 2, 3, 4]), policy(None, jnp.array([1.0, 2, 3, 4]))[1], atol=1e-5)


def test_the_loader_gives_an_int_for_a_choice_and_says_what_is_lost(tmp_path):
    policy = load(build(write(tmp_path, discrete())))
    assert isinstance(policy(np.zeros(4, np.float32)), int)
    assert not policy.lost
    assert policy(np.full(4, np.nan, np.float32)) == -1
    assert policy.lost
    policy(np.zeros(4, np.float32))
    assert not policy.lost


def test_the_loader_keeps_the_memory_until_reset(tmp_path):
    policy, observation = recurrent(), np.ones(4, np.float32)
    played = load(build(write(tmp_path, policy)))
    state = policy.reset(key=jax.random.key(0))
    first = played(observation)
    for _ in range(3):
        state, want = policy(state, jnp.asarray(observation))
        np.testing.assert_allclose(first if _ == 0 else played(observation), want, atol=1e-6)
    played.reset()
    np.testing.assert_array_equal(played(observation), first)


def test_the_loader_takes_nested_observations_and_masks(tmp_path):
    policy = POLICIES["mixed"]()
    observation = policy.observation_space.sample(key=jax.random.key(1))
    played = load(build(write(tmp_path / "a", policy)))
    np.testing.assert_allclose(played(jax.tree.map(np.asarray, observation)), policy(None, observation)[1], atol=1e-6)
    masked = load(build(write(tmp_path / "b", discrete(), action_mask=True)))
    assert [masked(np.zeros(4), np.arange(5) == k) for k in range(5)] == [0, 1, 2, 3, 4]
    assert masked(np.zeros(4)) == int(discrete()(None, jnp.zeros(4))[1])


def test_the_loader_refuses_what_does_not_fit(tmp_path):
    policy = load(build(write(tmp_path / "a", discrete())))
    with pytest.raises(ValueError, match=r"'observation' has shape \(3,\), wanted \(4,\)"):
        policy(np.zeros(3))
    with pytest.raises(TypeError, match="exported without one"):
        policy(np.zeros(4), np.ones(5, bool))
    images = load(build(write(tmp_path / "b", POLICIES["convolution"]())))
    with pytest.raises(TypeError, match="Cannot cast"):
        images(np.zeros((8, 8, 3)))
    with pytest.raises(FileNotFoundError, match=r"policy\.dll does not exist.*build"):
        load(tmp_path / "policy.dll")


@pytest.mark.parametrize(
    ("flags", "missing"),
    [((), "perdure_ports"), (("-DPERDURE_LIBRARY", "-Dperdure_run_row=of_an_earlier_version"), "perdure_run_row")],
    ids=["all", "one"],
)
def test_a_library_built_without_its_entries_is_named(flags, missing, tmp_path):
    source = write(tmp_path, discrete())
    run(*compiler("gcc"), "-shared", "-fPIC", *flags, source, "-o", tmp_path / "policy.so", "-lm")
    with pytest.raises(ValueError, match=rf"no function {missing}.*-DPERDURE_LIBRARY"):
        load(tmp_path / "policy.so")


def test_without_a_compiler_it_is_written_and_not_proven_here(tmp_path, monkeypatch):
    monkeypatch.setattr(building, "find_compiler", lambda: None)
    monkeypatch.setattr(targeting, "find_compiler", lambda: None)
    (row,) = export(discrete(), tmp_path / "deploy", ["c"], num_observations=20).targets
    assert not row.is_proven
    assert 'pip install "perdure[c]"' in row.missing
    assert not verify(tmp_path / "deploy", trust=True).targets[0].is_proven
    assert {p.name for p in (tmp_path / "deploy").iterdir()} >= {"policy.c", "policy.h", "policy_test.c"}


def test_names_that_c_reserves_and_names_that_collide_are_changed(tmp_path):
    space = Dict({"a.b": Box(-1, 1, (2,)), "a_b": Box(-1, 1, (2,)), "ß*/": Discrete(3)})

    class Odd(Stateless):
        def choose(self, observation, action_mask):
            return observation["a.b"] + 2 * observation["a_b"] + observation["ß*/"]

    observation = {"a.b": np.array([0.1, 0.2]), "a_b": np.array([0.5, 0.25]), "ß*/": 2}
    source = write(tmp_path, Odd(space, Box(-9, 9, (2,)), None), name="2 fast-int.v1")
    np.testing.assert_allclose(load(build(source))(observation), [3.1, 2.7], atol=1e-6)


def test_an_argument_is_named_as_no_variable_of_the_function():
    assert [argument_name(name) for name in ("x", "lost", "for", "action.x")] == ["p_x", "p_lost", "p_for", "action_x"]


def test_an_action_may_be_a_part_of_the_observation_as_it_is(tmp_path):
    class Plain(Stateless):
        def choose(self, observation, action_mask):
            return {"left": observation[:, 1], "right": observation[0] * 2.0}

    played = load(build(write(tmp_path, Plain(Box(-1, 1, (2, 2)), Dict(left=CONTINUOUS, right=CONTINUOUS), None))))
    answer = played(np.array([[0.1, 0.25], [0.3, 0.5]]))
    np.testing.assert_array_equal(answer["left"], [0.25, 0.5])
    np.testing.assert_allclose(answer["right"], [0.2, 0.5])


def test_any_byte_but_zero_is_a_legal_action(tmp_path):
    library = load(build(write(tmp_path, discrete(), action_mask=True))).library
    rows = {"observation": np.zeros((2, 4), np.float32), "action_mask": np.zeros((2, 5), np.uint8).view(bool)}
    rows["action_mask"].view(np.uint8)[:, 3] = (1, 128)
    assert library.prepare(rows)()["action"].tolist() == [3, 3]
