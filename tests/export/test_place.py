"""The folder of an export: the old one or the new one at every moment, with the files of others."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from perdure._core import SaveError
from perdure.export import export, verify
from perdure.export._manifest import MANIFEST, file_entry, manifest_bytes
from perdure.export._place import place
from perdure.export._read_manifest import check_files, read_manifest
from tests.support.export.policies import discrete
from tests.support.faulty_disk import Died, FaultyDisk


def made(folder: Path, marker: str, *names: str) -> Path:
    """A finished export, with a file in a folder of its own."""
    (folder / "policy_web").mkdir(parents=True)
    for name in (*names, "policy_web/index.html"):
        (folder / name).write_text(f"{name} {marker}")
    files = {name: file_entry(folder / name) for name in (*names, "policy_web/index.html")}
    fields = dict.fromkeys(("fingerprint", "perdure_version", "policy"), "") | {
        "action_space": {},
        "observation_space": {},
    }
    fields["nan_guard"] = {"on": True, "action": {}}
    fields["signature"] = {side: [{"name": side, "shape": [], "dtype": "float32"}] for side in ("inputs", "outputs")}
    manifest = {**fields, "format": 1, "name": marker, "targets": {}, "files": files}
    (folder / MANIFEST).write_bytes(manifest_bytes(manifest))
    return folder


def marker_of(folder: Path) -> str | None:
    """Which export lies there, whole; None if there is none."""
    if not folder.exists():
        return None
    manifest = read_manifest(folder)
    check_files(folder, manifest)
    return manifest.name


@pytest.mark.parametrize("with_exchange", [True, False])
@pytest.mark.parametrize("there", ["nothing", "an export", "an export and notes"])
@pytest.mark.parametrize("failure", ["died", "torn", "full", errno.EIO])
def test_whatever_call_fails_the_old_export_or_the_new_is_there_whole(with_exchange, there, failure, quick_path):
    new, home = made(quick_path / "new", "new", "a.onnx"), quick_path / "home"

    def start():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        if there != "nothing":
            made(home / "deploy", "old", "a.onnx", "b.c")
        if there == "an export and notes":
            (home / "deploy" / "notes.txt").write_text("mine")

    start()
    count = FaultyDisk(None, None, with_exchange=with_exchange)
    with count.used():
        place(new, home / "deploy", force=True)
    before = None if there == "nothing" else "old"
    seen = set()
    for at in range(1, len(count.names) + 1):
        start()
        disk = FaultyDisk(at, failure, with_exchange=with_exchange)
        try:
            with disk.used():
                place(new, home / "deploy", force=True)
        except (Died, SaveError):
            pass
        if not (home / "deploy").exists() and before is not None:  # the old one stands aside: the next one puts it back
            assert not with_exchange
            other = made(quick_path / f"other{at}", "other", "a.onnx")
            place(other, home / "another", force=False)
            shutil.rmtree(home / "another")
        seen.add(marker_of(home / "deploy"))
        if there == "an export and notes":
            assert (home / "deploy" / "notes.txt").read_text() == "mine"
        place(made(quick_path / f"next{at}", "next", "a.onnx"), home / "deploy", force=True)
        assert marker_of(home / "deploy") == "next"
        assert os.listdir(home) == ["deploy"], disk.failed_at  # and what the failure left is cleared up
    assert seen == {before, "new"}


def test_an_earlier_export_is_replaced_as_a_whole_with_force_too(tmp_path):
    for force in (False, True):
        place(made(tmp_path / f"one{force}", "one", "a.onnx", "b.c"), tmp_path / "deploy", force=force)
        place(made(tmp_path / f"two{force}", "two", "a.onnx"), tmp_path / "deploy", force=force)
        assert sorted(os.listdir(tmp_path / "deploy")) == ["a.onnx", MANIFEST, "policy_web"]


def test_files_of_others_are_refused_and_with_force_they_stay_what_they_are(tmp_path):
    place(made(tmp_path / "one", "one", "a.onnx"), tmp_path / "deploy", force=False)
    (tmp_path / "deploy" / "policy_web" / "own.css").write_text("mine")
    (tmp_path / "deploy" / "link").symlink_to("a.onnx")
    (tmp_path / "deploy" / "run").write_text("#!/bin/sh")
    (tmp_path / "deploy" / "run").chmod(0o755)
    two = made(tmp_path / "two", "two", "a.onnx")
    with pytest.raises(
        FileExistsError, match=r"deploy holds 'link' and 2 more files, which are not of an earlier export"
    ):
        place(two, tmp_path / "deploy", force=False)
    assert marker_of(tmp_path / "deploy") == "one"
    place(two, tmp_path / "deploy", force=True)
    assert marker_of(tmp_path / "deploy") == "two"
    assert (tmp_path / "deploy" / "policy_web" / "own.css").read_text() == "mine"
    assert os.readlink(tmp_path / "deploy" / "link") == "a.onnx"
    assert os.access(tmp_path / "deploy" / "run", os.X_OK)


def test_what_comes_between_the_check_and_the_end_is_not_lost(tmp_path, monkeypatch):
    """Somebody writes a file into the folder while the policy is proven."""
    import perdure.export._export as exporting

    (tmp_path / "deploy").mkdir()
    prove = exporting.write_and_prove

    def slowly(*arguments):
        (tmp_path / "deploy" / "notes.txt").write_text("mine")
        return prove(*arguments)

    monkeypatch.setattr(exporting, "write_and_prove", slowly)
    with pytest.raises(FileExistsError, match=r"notes\.txt"):
        export(discrete(), tmp_path / "deploy", ["weights"], num_observations=20)
    assert os.listdir(tmp_path / "deploy") == ["notes.txt"]


def test_a_full_disk_is_told_and_the_old_export_stays(tmp_path, monkeypatch):
    export(discrete(), tmp_path / "deploy", ["weights"], num_observations=20)
    before = (tmp_path / "deploy" / MANIFEST).read_bytes()
    import perdure.export._place as placing

    def full(path, chunks):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(placing, "write_new", full)
    with pytest.raises(SaveError, match="What was there before is unchanged"):
        export(discrete(), tmp_path / "deploy", ["weights"], num_observations=20)
    assert (tmp_path / "deploy" / MANIFEST).read_bytes() == before
    assert os.listdir(tmp_path) == ["deploy"]
    verify(tmp_path / "deploy")
