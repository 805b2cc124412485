"""What tests of hostile files hold to."""

import resource
import sys

import pytest

HARMFUL = {
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "subprocess.Popen",
    "pickle.find_class",
    "socket.connect",
}
happened: list[str] = []


def watch(event, arguments):
    if event in HARMFUL or (event == "open" and "canary" in str(arguments[0])):
        happened.append(event)


sys.addaudithook(watch)


@pytest.fixture
def nothing_happens(tmp_path, monkeypatch):
    """Whatever the test does: no process, no unpickling, no file beside the model, no more memory than it may need."""
    monkeypatch.chdir(tmp_path)
    happened.clear()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert not happened
    assert not (tmp_path / "canary").exists()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # KB
