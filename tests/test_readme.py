"""The README tells the truth: its Python runs, its commands exist."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README.read_text(), re.DOTALL)


@pytest.mark.slow
def test_the_python_of_the_readme_runs_as_printed(tmp_path):
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    code = "\n".join(text for language, text in BLOCKS if language == "python") + "\nprint('action', action)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "policy.onnx" in done.stdout
    assert "action [" in done.stdout


def test_there_are_exactly_two_set_up_commands():
    assert sum(language == "bash" for language, _ in BLOCKS) == 2


def test_every_command_and_flag_of_the_readme_exists():
    (console,) = [text for language, text in BLOCKS if language == "console"]
    for line in console.splitlines():
        _, program, command, *rest = line.split()
        assert program == "perdure"
        command = [command, rest[0]] if command == "train" else [command]
        executable = Path(sys.executable).parent / "perdure"
        env = {**os.environ, "COLUMNS": "200"}
        usage = subprocess.run(
            [executable, *command, "--help"], capture_output=True, text=True, check=True, env=env
        ).stdout
        for flag in (word for word in rest if word.startswith("--")):
            assert flag in usage, line


def test_what_the_readme_links_to_is_there():
    for target in re.findall(r"\]\(([^)#]+)\)", README.read_text()):
        assert target.startswith("http") or (README.parent / target).exists(), target
