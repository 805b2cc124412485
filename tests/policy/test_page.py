"""The page on policies tells the truth: its Python runs, and its tables name what there is."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import perdure.policy
from perdure.policy import BODIES

PAGE = (Path(__file__).parents[2] / "docs/policies.md").read_text()


@pytest.mark.slow
def test_the_python_of_the_page_runs_as_printed(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    code = "\n".join(blocks) + "\nprint(policy.body.size)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "32\n"


def test_its_tables_name_every_kind_of_body_and_roles_that_are_there():
    ours = {kind: record.__name__ for kind, record in BODIES.items() if record.__module__.startswith("perdure.")}
    told = {kind: record for record, kind in re.findall(r"^\| `(\w+)` \| `([\w-]+)` \|", PAGE, re.MULTILINE)}
    assert told == ours
    roles = re.findall(r"^\| `(\w+Policy)` \|", PAGE, re.MULTILINE)
    assert len(roles) == 5
    assert all(hasattr(perdure.policy, role) for role in roles)
