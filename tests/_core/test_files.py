import os

import pytest

from perdure._core import atomic_write, read_bytes, with_suffix


def broken_chunks():
    yield b"new"
    raise OSError("disk full")


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_beside_it(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(OSError, match="disk full"):
        atomic_write(tmp_path / "file", broken_chunks())
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"old")]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_an_error_of_the_system_keeps_the_old_file(tmp_path, monkeypatch, step):
    def fail(*arguments):
        raise OSError("no space")

    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="no space"):
        atomic_write(tmp_path / "file", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"old")]


def test_a_write_replaces_and_keeps_permissions(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "file").chmod(0o640)
    atomic_write(tmp_path / "file", [b"n", b"ew"])
    assert (tmp_path / "file").read_bytes() == b"new"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link_and_its_target_is_written(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    atomic_write(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_a_suffix_is_added_and_never_swapped():
    names = ["policy-0.95", "model.eqx", "model", "a.b/model.tar"]
    added = ["policy-0.95.eqx", "model.eqx", "model.eqx", "a.b/model.tar.eqx"]
    assert [with_suffix(name, ".eqx").as_posix() for name in names] == added


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.eqx"):
        read_bytes(tmp_path / "nowhere.eqx")
