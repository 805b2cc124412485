"""An export into the folder of an earlier one: the same policy is added to, another one is refused."""

import json
import os
import shutil
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from safetensors.numpy import load_file

from perdure._core import FileFormatError
from perdure.export import _place as placing, export, verify
from perdure.export._manifest import GOLDEN, MANIFEST, manifest_bytes
from perdure.export._merge import weights_sha256
from perdure.export._place import place
from perdure.export._read_manifest import check_files, read_manifest
from tests.support.export.policies import discrete
from tests.support.faulty_disk import Died, FaultyDisk


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Exports of one policy to two targets, compared on other observations, and one of another policy."""
    home = tmp_path_factory.mktemp("made")
    export(discrete(), home / "weights", ["weights"], num_observations=20)
    export(discrete(), home / "stablehlo", ["stablehlo"], num_observations=30)
    export(discrete(seed=1), home / "other", ["stablehlo"], num_observations=30)
    return home


def copied(folders: Path, name: str, to: Path) -> Path:
    return Path(shutil.copytree(folders / name, to))


def targets_in(folder: Path) -> list[str]:
    manifest = read_manifest(folder)
    check_files(folder, manifest)
    return sorted(manifest.targets)


def test_targets_are_added_and_each_keeps_what_it_was_proven_by(folders, tmp_path):
    deploy = copied(folders, "weights", tmp_path / "deploy")
    report = export(discrete(), deploy, ["stablehlo"], num_observations=30)
    assert report.kept == ("weights",)
    assert "Kept of the earlier export: weights." in str(report)
    manifest = read_manifest(deploy)
    kept, new = manifest.targets["weights"].golden, manifest.targets["stablehlo"].golden
    assert new == GOLDEN != kept
    assert len(load_file(deploy / kept)["input:observation"]) != 0
    assert (deploy / kept).read_bytes() == (folders / "weights" / GOLDEN).read_bytes()
    again = verify(deploy)
    assert {row.target for row in again.targets if row.is_proven} == {"weights", "stablehlo"}
    assert again.foreign == ()
    assert os.listdir(tmp_path) == ["deploy"]


def test_a_target_is_replaced_and_what_nothing_uses_is_gone(folders, tmp_path):
    deploy = copied(folders, "weights", tmp_path / "deploy")
    place(folders / "stablehlo", deploy, force=False)
    assert place(folders / "weights", deploy, force=False) == ("stablehlo",)
    assert targets_in(deploy) == ["stablehlo", "weights"]
    assert place(folders / "stablehlo", deploy, force=False) == ("weights",)
    present = {p.name for p in deploy.iterdir()} - {MANIFEST}
    assert present == set(read_manifest(deploy).files)
    assert sum(name.startswith("golden") for name in present) == 2


@pytest.mark.parametrize("force", [False, True])
def test_another_policy_of_the_same_structure_is_refused_and_forced_it_replaces_all(force, folders, tmp_path):
    deploy = copied(folders, "weights", tmp_path / "deploy")
    assert read_manifest(deploy).fingerprint == read_manifest(folders / "other").fingerprint  # the weights differ alone
    if force:
        assert place(folders / "other", deploy, force=True) == ()
        assert targets_in(deploy) == ["stablehlo"]
        return
    with pytest.raises(FileExistsError, match=r"deploy holds an export of another policy\. .*force=True \(--force\)"):
        place(folders / "other", deploy, force=False)
    with pytest.raises(FileExistsError, match="deploy holds an export of another policy"):
        export(discrete(seed=1), deploy, ["stablehlo"], num_observations=20)
    assert targets_in(deploy) == ["weights"]


def test_other_inputs_or_another_guard_are_no_addition(folders, tmp_path):
    deploy = copied(folders, "weights", tmp_path / "deploy")
    for options in ({"action_mask": True}, {"nan_guard": False}):
        with pytest.raises(FileExistsError, match="other inputs, outputs or another NaN guard"):
            export(discrete(), deploy, ["stablehlo"], num_observations=20, **options)
    assert targets_in(deploy) == ["weights"]


def test_a_manifest_of_before_weights_were_recorded_is_not_taken_for_this_policy(folders, tmp_path):
    deploy = copied(folders, "weights", tmp_path / "deploy")
    manifest = json.loads((deploy / MANIFEST).read_text())
    del manifest["targets"]["weights"]["weights_sha256"]
    (deploy / MANIFEST).write_bytes(manifest_bytes(manifest))
    assert verify(deploy).targets[0].is_proven
    with pytest.raises(FileExistsError, match="not recorded which weights it has"):
        place(folders / "stablehlo", deploy, force=False)


@pytest.mark.parametrize("force", [False, True])
def test_a_kept_target_that_was_changed_is_not_kept(force, folders, tmp_path):
    deploy = copied(folders, "weights", tmp_path / "deploy")
    (deploy / "policy_numpy.py").write_text("")
    if force:
        assert place(folders / "stablehlo", deploy, force=True) == ()
        assert targets_in(deploy) == ["stablehlo"]
        return
    with pytest.raises(FileFormatError, match=r"policy_numpy\.py was changed"):
        place(folders / "stablehlo", deploy, force=False)
    assert (deploy / "policy_weights.json").exists()


def test_what_another_process_adds_meanwhile_is_kept(folders, tmp_path, monkeypatch):
    deploy = copied(folders, "weights", tmp_path / "deploy")
    keep, done = placing.to_keep, []

    def with_another(*arguments):
        kept = keep(*arguments)
        if not done:
            done.append(True)
            place(folders / "stablehlo", deploy, force=False)
        return kept

    monkeypatch.setattr(placing, "to_keep", with_another)
    place(folders / "weights", deploy, force=False)
    assert targets_in(deploy) == ["stablehlo", "weights"]


@pytest.mark.parametrize("failure", ["died", "full"])
def test_whatever_call_fails_the_old_targets_are_there_or_all(failure, folders, quick_path):
    deploy = copied(folders, "weights", quick_path / "home" / "deploy")
    count = FaultyDisk(None, None, with_exchange=True)
    with count.used():
        place(folders / "stablehlo", deploy, force=False)
    seen = set()
    for at in range(1, len(count.names) + 1):
        shutil.rmtree(deploy.parent)  # with what the call before left
        copied(folders, "weights", deploy)
        try:
            with FaultyDisk(at, failure, with_exchange=True).used():
                place(folders / "stablehlo", deploy, force=False)
        except (Died, OSError):
            pass
        seen.add(tuple(targets_in(deploy)))
    assert seen == {("weights",), ("stablehlo", "weights")}


def test_the_digest_of_the_weights_tells_any_change():
    policy = discrete()
    assert weights_sha256(policy) == weights_sha256(discrete())
    leaves, structure = jax.tree.flatten(policy)
    arrays = [i for i, leaf in enumerate(leaves) if eqx.is_array(leaf)]
    assert len(arrays) == 6  # three layers
    for i in arrays:
        moved = [*leaves[:i], jnp.nextafter(leaves[i], jnp.inf), *leaves[i + 1 :]]
        assert weights_sha256(jax.tree.unflatten(structure, moved)) != weights_sha256(policy)
