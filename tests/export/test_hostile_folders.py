"""Folders of strangers: nothing of them runs unless it is trusted, nothing beside them is read, no fault goes unnamed."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export as jax_export
from safetensors.numpy import load_file, save_file

import perdure.cli._export as commands
from perdure._core import ExportError, FileFormatError
from perdure.export import export, verify
from perdure.export._manifest import MANIFEST, file_entry, manifest_bytes
from perdure.export._verify import NOT_TRUSTED, read_whole
from perdure.export.targets import TARGETS
from perdure.space import Box, Discrete
from tests.support.export.policies import Stateless, discrete, recurrent

GOLDEN = "golden.safetensors"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An export of two targets that are data, one of which has a script beside it."""
    folder = tmp_path_factory.mktemp("made") / "deploy"
    export(recurrent(), folder, ["weights", "stablehlo"], num_observations=40)
    return folder


@pytest.fixture
def folder(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "deploy"))


def manifest_of(folder: Path):
    return json.loads((folder / MANIFEST).read_text())


def put(folder: Path, manifest) -> None:
    """A manifest that agrees with itself and with every file it lists, as a stranger would write it."""
    for name in manifest.get("files", ()):
        path = folder / name
        if isinstance(manifest["files"], dict) and isinstance(manifest["files"][name], dict) and path.is_file():
            manifest["files"][name] = {**manifest["files"][name], **file_entry(path)}
    (folder / MANIFEST).write_bytes(manifest_bytes(manifest))


def change_golden(folder: Path, change: Callable[[dict], dict]) -> None:
    arrays = change(load_file(folder / GOLDEN))
    save_file({k: np.ascontiguousarray(x) for k, x in arrays.items()}, folder / GOLDEN)


def code_that_tells(marker: Path) -> str:
    return f"\nopen({str(marker)!r}, 'w').close()\n"


def test_the_script_of_a_stranger_runs_only_if_it_is_trusted(folder, tmp_path):
    marker = tmp_path / "ran"
    with (folder / "policy_numpy.py").open("a") as file:
        file.write(code_that_tells(marker))
    put(folder, manifest_of(folder))
    rows = {row.target: row for row in verify(folder).targets}
    assert rows["weights"].is_proven
    assert rows["weights"].runtime.startswith("Perdure's interpreter")
    assert "its code was not run: perdure verify FOLDER --trust" in rows["weights"].note
    assert rows["weights"].observations > 700
    assert not marker.exists()
    rows = {row.target: row for row in verify(folder, trust=True).targets}
    assert marker.exists()
    assert "Perdure's interpreter" in rows["weights"].runtime
    assert rows["weights"].note == ""


def test_a_wrong_weight_is_found_without_the_script(folder):
    weights = load_file(folder / "policy_weights.safetensors")
    name = next(name for name in weights if name.endswith("weight_hh"))
    weights[name] = weights[name] + np.float32(0.01)
    save_file(weights, folder / "policy_weights.safetensors")
    put(folder, manifest_of(folder))
    with pytest.raises(ExportError, match=r"verify weights: '.*' is .* at golden row"):
        verify(folder)


def test_every_target_of_ours_says_whether_it_runs_code():
    data = {name for name, target in TARGETS.items() if not target.runs_code}
    assert data == {"onnx", "triton", "stablehlo", "tflite", "tflite-float16", "tflite-int8"}
    assert {name for name, target in TARGETS.items() if target.data_runner is not None} == {"weights"}


def test_code_alone_is_told_and_nothing_is_proven_of_it(tmp_path, monkeypatch):
    import perdure.export.targets.c._target as c

    monkeypatch.setattr(c, "find_compiler", lambda: None)  # it need not be proven now
    export(discrete(), tmp_path / "deploy", ["c"], num_observations=20)
    (row,) = verify(tmp_path / "deploy").targets
    assert not row.is_proven
    assert row.missing == NOT_TRUSTED
    with pytest.raises(
        ExportError, match="nothing of it was proven here; above it says what to install, or to add --trust"
    ):
        commands.verify(tmp_path / "deploy")


def test_stablehlo_that_calls_functions_of_the_process_is_refused(folder):
    callback = "xla_ffi_python_cpu_callback"  # takes an address

    def reach(x):
        observation = x["observation"]
        return {"action": jax.ffi.ffi_call(callback, jax.ShapeDtypeStruct((3, 4), jnp.float32))(observation)}

    shapes = {"observation": jax.ShapeDtypeStruct((3, 4), jnp.float32)}
    safe = [jax_export.DisabledSafetyCheck.custom_call(callback)]
    data = jax_export.export(jax.jit(reach), disabled_checks=safe)(shapes).serialize()
    (folder / "policy.stablehlo").write_bytes(data)
    put(folder, manifest_of(folder))
    with pytest.raises(ExportError, match="calls functions outside of itself"):
        verify(folder)


def test_the_check_of_stablehlo_takes_operators_alone():
    import runpy

    check = runpy.run_path(str(TARGETS["stablehlo"].runner))["check_calls"]
    check("%1 = stablehlo.custom_call @shape_assertion(%0) {} %2 = stablehlo.custom_call @mhlo.erf(%1) {}")
    for text in (
        "stablehlo.custom_call @xla_ffi_python_cpu_callback(%0)",
        'stablehlo.custom_call @"xla_ffi_python_cpu_callback"(%0)',
        '"stablehlo.custom_call"(%0) <{call_target_name = "x"}>',
        "stablehlo.custom_call @shape_assertion_of_mine(%0)",
    ):
        with pytest.raises(ValueError, match="calls functions outside of itself"):
            check(text)


def outside(folder, manifest):
    (folder.parent / "outside.py").write_text("")
    manifest["files"]["../outside.py"] = file_entry(folder.parent / "outside.py")
    manifest["targets"]["weights"]["files"][0] = "../outside.py"


def not_listed(folder, manifest):
    (folder / "other.py").write_text("")
    manifest["targets"]["weights"]["files"][0] = "other.py"


def outside_and_not_listed(folder, manifest):
    manifest["targets"]["weights"]["files"][0] = "../outside.py"


def absolute(folder, manifest):
    manifest["files"]["/etc/hostname"] = {"bytes": 1, "sha256": "0" * 64}


def backslashes(folder, manifest):
    manifest["files"]["..\\outside.py"] = {"bytes": 1, "sha256": "0" * 64}


def a_drive(folder, manifest):
    manifest["files"]["C:outside.py"] = {"bytes": 1, "sha256": "0" * 64}


def twice_spelled(folder, manifest):
    manifest["files"]["./policy_numpy.py"] = manifest["files"]["policy_numpy.py"]


def itself(folder, manifest):
    manifest["files"][MANIFEST] = {"bytes": 1, "sha256": "0" * 64}


def a_link(folder, manifest):
    (folder / "policy.stablehlo").rename(folder.parent / "policy.stablehlo")
    (folder / "policy.stablehlo").symlink_to(folder.parent / "policy.stablehlo")


def behind_a_link(folder, manifest):
    (folder.parent / "elsewhere").mkdir()
    (folder / "policy.stablehlo").rename(folder.parent / "elsewhere" / "policy.stablehlo")
    (folder / "below").symlink_to(folder.parent / "elsewhere")
    manifest["files"]["below/policy.stablehlo"] = manifest["files"].pop("policy.stablehlo")
    manifest["targets"]["stablehlo"]["files"] = ["below/policy.stablehlo"]


def a_pipe(folder, manifest):
    (folder / "policy.stablehlo").unlink()
    os.mkfifo(folder / "policy.stablehlo")


def no_targets(folder, manifest):
    manifest["targets"] = {}


def no_files(folder, manifest):
    manifest["targets"]["weights"]["files"] = []


def other_precision(folder, manifest):
    manifest["targets"]["stablehlo"] |= {"precision": "int8", "golden": GOLDEN}


def no_golden(folder, manifest):
    del manifest["files"][GOLDEN]


def an_escape_sequence(folder, manifest):
    manifest["name"] = "\x1b[2Jpolicy"


def other_rows(folder, manifest):
    manifest["files"][GOLDEN]["rows"]["good"] += 1


FAULTS = {
    outside: r"a name in files is '\.\./outside\.py'",
    not_listed: r"targets\.weights\.files\[0\] is 'other\.py', wanted a file that `files` lists",
    outside_and_not_listed: r"targets\.weights\.files\[0\] is '\.\./outside\.py'",
    absolute: r"a name in files is '/etc/hostname'",
    backslashes: "a name in files is",
    a_drive: "a name in files is 'C:outside",
    twice_spelled: r"a name in files is '\./policy_numpy",
    itself: r"a name in files is 'manifest\.json'",
    a_link: r"policy\.stablehlo is, or lies behind, a link",
    behind_a_link: r"below/policy\.stablehlo is, or lies behind, a link",
    a_pipe: r"policy\.stablehlo was changed after the export: it is no regular file",
    no_targets: "targets is empty, so there is nothing to prove",
    no_files: r"targets\.weights\.files is a list of 0, wanted at least one file",
    other_precision: r"targets\.'stablehlo'\.precision is int8, but that target is float32",
    no_golden: r"the golden file of targets\.\w+ is 'golden\.safetensors', wanted a file that `files` lists",
    an_escape_sequence: r"name is '\\x1b\[2Jpolicy', wanted printable text",
    other_rows: r"golden\.safetensors has Rows\(good=.*the manifest says Rows",
}


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_targets_have_listed_regular_files_inside_the_folder_alone(fault, folder):
    manifest = manifest_of(folder)
    fault(folder, manifest)
    put(folder, manifest)
    with pytest.raises(FileFormatError, match=FAULTS[fault]):
        verify(folder, trust=True)


GONE = {
    "output:": "has no array 'output:",
    "input:": "has no good rows",
    "broken_": "has no broken rows, though the manifest says so",
    "broken_output:": "has no array 'broken_output:",
    "sequence_output:": "has no array 'sequence_output:",
    "sequence_reset": "has the array 'sequence_i",
}


@pytest.mark.parametrize("prefix", GONE)
@pytest.mark.parametrize("is_recorded", [True, False])
def test_golden_arrays_that_are_gone_are_missed(prefix, is_recorded, folder):
    """In manifests of before rows were recorded, too."""
    change_golden(folder, lambda arrays: {k: x for k, x in arrays.items() if not k.startswith(prefix)})
    manifest = manifest_of(folder)
    recorded = manifest["files"][GOLDEN].pop("rows")
    if is_recorded:
        manifest["files"][GOLDEN]["rows"] = recorded
    put(folder, manifest)
    takes_rows = is_recorded and prefix in ("input:", "broken_", "sequence_reset")
    with pytest.raises(FileFormatError, match=r"golden\.safetensors has Rows" if takes_rows else GONE[prefix]):
        verify(folder)


def test_no_rows_is_nothing_proven(folder):
    change_golden(
        folder,
        lambda arrays: {k: x[:0] if "put:" in k and "_" not in k.partition(":")[0] else x for k, x in arrays.items()},
    )
    manifest = manifest_of(folder)
    manifest["files"][GOLDEN]["rows"]["good"] = 0
    put(folder, manifest)
    with pytest.raises(FileFormatError, match="has no good rows, so nothing can be proven"):
        verify(folder)


def test_sequences_that_were_recorded_are_missed(folder):
    change_golden(folder, lambda arrays: {k: x for k, x in arrays.items() if not k.startswith("sequence")})
    put(folder, manifest_of(folder))
    with pytest.raises(FileFormatError, match=r"has Rows\(good=\d+, broken=\d+, steps=0\), the manifest says Rows"):
        verify(folder)


def test_a_golden_file_that_is_none_is_named(folder):
    (folder / GOLDEN).write_bytes(b"not arrays")
    put(folder, manifest_of(folder))
    with pytest.raises(FileFormatError, match=r"golden\.safetensors is no safetensors file"):
        verify(folder)


def places(value, path=()):
    """Every value in a JSON value, by its path."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield (*path, key)
        yield from places(member, (*path, key))


def refusal(folder: Path) -> str | None:
    """What `verify` says before it runs anything."""
    try:
        read_whole(folder)
    except FileFormatError as error:
        return str(error)
    return None


OF_OLD_PROOF = {
    "actions_equal",
    "coverage",
    "max_error",
    "max_excused",
    "microseconds",
    "note",
    "observations",
    "runtime",
    "ties",
}
OF_SPACES = {"action_space", "observation_space"}


@pytest.mark.parametrize("wrong", [None, 7, "x" * 10**5, [], {}, True, -1.5], ids=lambda wrong: str(wrong)[:9])
def test_whatever_stands_at_any_place_of_the_manifest_is_taken_or_named(wrong, folder):
    """No KeyError, no TypeError, no endless message; without running anything."""
    manifest = manifest_of(folder)
    silent = []
    for path in places(manifest):
        changed = json.loads(json.dumps(manifest))
        parent = changed
        for key in path[:-1]:
            parent = parent[key]
        if type(parent[path[-1]]) is type(wrong) and isinstance(wrong, dict | list):
            continue
        parent[path[-1]] = wrong
        (folder / MANIFEST).write_bytes(manifest_bytes(changed))
        message = refusal(folder)
        if message is None:
            silent.append(path)
        else:
            assert len(message) < 600, path
    for path in silent:
        is_text = isinstance(wrong, str) or wrong is None
        assert (
            path == ("digest",)
            or path[-1] in OF_OLD_PROOF
            or "coverage" in path
            or (path[0] in OF_SPACES and len(path) > 1)
            or (path == ("fingerprint",) and is_text)
            or (path == ("nan_guard", "on") and wrong is True)
            or (path[-1] == "broken" and wrong == 7)
        ), path


@pytest.mark.parametrize("kind", ["top", "target", "file", "port"])
def test_a_field_that_is_missing_is_named(kind, folder):
    at = {"top": (), "target": ("targets", "weights"), "file": ("files", GOLDEN), "port": ("signature", "inputs", 0)}[
        kind
    ]
    required = {
        "top": ["name", "targets", "files", "signature"],
        "target": ["files", "status"],
        "file": ["bytes", "sha256"],
    }
    whole = (folder / MANIFEST).read_text()
    for field in required.get(kind, ["name", "shape", "dtype"]):
        manifest = json.loads(whole)
        parent = manifest
        for key in at:
            parent = parent[key]
        del parent[field]
        (folder / MANIFEST).write_bytes(manifest_bytes(manifest))
        with pytest.raises(FileFormatError, match=rf"manifest\.json: .*{field} is missing"):
            verify(folder)


def test_what_is_not_of_the_export_is_told_and_not_run(folder, tmp_path, monkeypatch):
    marker = tmp_path / "ran"
    for name in ("numpy.py", "jax.py", "safetensors.py", "sitecustomize.py", "perdure.py"):
        (folder / name).write_text(code_that_tells(marker))
    (folder / "node_modules" / "[red]x").mkdir(parents=True)
    (folder / "node_modules" / "[red]x" / "index.js").write_text("")
    monkeypatch.chdir(folder)
    report = verify(".", trust=True)
    assert not marker.exists()
    assert "node_modules/[red]x/index.js" in report.foreign
    assert len(report.foreign) == 6
    assert "Not of this export, and not looked at: 'jax.py', 'node_modules/[red]x/index.js'" in " ".join(
        str(report).split()
    )


def test_node_packages_of_the_working_directory_are_not_taken(tmp_path, monkeypatch):
    from perdure.export.proof import _javascript

    (tmp_path / "node_modules" / "some").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PERDURE_NODE_MODULES", raising=False)
    assert _javascript.find_modules("some") == tmp_path.resolve() / "node_modules"
    with _javascript.named_modules_only():
        assert _javascript.find_modules("some") is None
    monkeypatch.setenv("PERDURE_NODE_MODULES", "")
    assert _javascript.find_modules("some") is None
    monkeypatch.setenv("PERDURE_NODE_MODULES", str(tmp_path / "node_modules"))
    with _javascript.named_modules_only():
        assert _javascript.find_modules("some") == tmp_path.resolve() / "node_modules"


HOSTILE_WEIGHTS = {
    "operator": lambda text: text["layers"][0] | {"op": "__import__"},
    "activation": lambda text: text["layers"][0] | {"activation": "os.system"},
    "dtype": lambda text: text["layers"][0] | {"dtype": "object"},
    "input": lambda text: text["layers"][0] | {"inputs": ["nowhere"]},
    "no input": lambda text: text["layers"][0] | {"inputs": []},
}


@pytest.mark.parametrize("kind", HOSTILE_WEIGHTS)
def test_weights_that_no_export_wrote_are_a_named_fault(kind, folder):
    from perdure.export.targets.weights import read_weights

    path = folder / "policy_weights.json"
    text = json.loads(path.read_text())
    text["layers"][0] = HOSTILE_WEIGHTS[kind](text)
    path.write_text(json.dumps(text))
    with pytest.raises(FileFormatError, match=r"policy_weights\.json"):
        read_weights(folder)


class Buckets(Stateless):
    """Each answer hangs on one rounding, so every row is near a tie."""

    def choose(self, observation, action_mask):
        return jnp.clip(jnp.floor(observation[0] * 10).astype(jnp.int32), 0, 9)


def test_an_export_always_has_good_golden_rows(tmp_path):
    policy = Buckets(Box(-5, 5, (1,)), Discrete(10), None)
    export(policy, tmp_path / "deploy", ["weights"], num_observations=100)
    assert len(load_file(tmp_path / "deploy" / GOLDEN)["input:observation"]) >= 4
    assert verify(tmp_path / "deploy").targets[0].observations >= 4
