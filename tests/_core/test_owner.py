"""A folder has one owner, which may end in any way."""

import json
import os
import platform
import signal
import subprocess
import sys
import threading

import pytest

from perdure._core import OWNER, SaveError, _owner, owning
from tests.support.shared_files import ROOT

HOLD = """
import sys
from perdure._core import owning
with owning(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds `tmp_path`."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_who_comes_second_is_told_who_holds_the_folder_and_since_when(other, tmp_path):
    told = rf"is in use by process {other.pid} on {platform.node()}, since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    with pytest.raises(BlockingIOError, match=told), owning(tmp_path):
        pass
    other.communicate()  # it ends
    with owning(tmp_path):
        assert json.loads((tmp_path / OWNER).read_text())["process"] == os.getpid()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_crash_releases_the_folder(other, tmp_path, how):
    other.send_signal(how)
    other.wait()
    assert (tmp_path / OWNER).exists()
    with owning(tmp_path), owning(tmp_path):
        pass
    assert os.listdir(tmp_path) == []


def test_a_folder_is_known_by_any_of_its_names(other, tmp_path, monkeypatch):
    link = tmp_path.with_name(f"{tmp_path.name}-link")
    link.symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in (link, "."):
        with pytest.raises(BlockingIOError, match="in use"), owning(name):
            pass


def test_another_thread_is_refused_and_the_same_may_again(tmp_path):
    refused = []

    def take():
        try:
            with owning(tmp_path):
                pass
        except BlockingIOError as error:
            refused.append(str(error))

    with owning(tmp_path):
        with owning(tmp_path):
            pass
        thread = threading.Thread(target=take)
        thread.start()
        thread.join()
    assert len(refused) == 1
    assert f"process {os.getpid()} on" in refused[0]
    take()
    assert len(refused) == 1


def test_an_error_within_releases_the_folder(tmp_path):
    with pytest.raises(KeyError), owning(tmp_path):
        raise KeyError
    with owning(tmp_path):
        pass


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b'{"process": "x"}', b'{"process": 1, "host": "\\u001b[2J"'])
def test_a_file_of_owners_that_says_nothing_is_no_trouble(other, tmp_path, content):
    (tmp_path / OWNER).write_bytes(content)
    with pytest.raises(BlockingIOError, match="is in use by another process"), owning(tmp_path):
        pass


def test_where_nothing_can_be_locked_a_warning_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(_owner, "fcntl", None)
    with pytest.warns(UserWarning, match="a second training there would not be noticed"), owning(tmp_path):
        pass
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(SaveError, match="none"), owning(tmp_path / "none"):
        pass
