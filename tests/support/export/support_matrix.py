"""Writes the table of policy kinds and targets in docs/exporting.md.

    python -m tests.support.export.support_matrix      # each export proven over 10,000 observations, which takes ten minutes
    python -m tests.support.export.support_matrix 200       # over so many

Each cell is an export, proven in the target's runtime; the same exports are what `export/targets/test_policies.py` asserts.
"""

import re
import sys
import tempfile
from typing import Any

from rich.progress import track

import perdure.export._export as exporting
from perdure._core import ExportError
from perdure.export.targets._registry import TARGETS
from tests.support.export.in_process import InProcessRunner, installed_targets
from tests.support.export.kinds import EXPORTED, settings_of
from tests.support.shared_files import ROOT

PAGE = ROOT / "docs" / "exporting.md"
START, END = "<!-- support matrix -->\n", "<!-- end of support matrix -->"
COLUMNS = [name for name in TARGETS if name != "triton"]  # its model is the ONNX file
CELLS = {True: "proven", False: "refused", None: "not proven here"}


def cell(target: str, result: bool | None) -> str:
    return "quantised" if result and TARGETS[target].precision != "float32" else CELLS[result]


def is_proven(policy: Any, targets: list[str], settings: dict[str, Any]) -> bool:
    try:
        with tempfile.TemporaryDirectory() as folder:
            exporting.export(policy, folder, targets, **settings)
    except ExportError as error:
        print(f"{targets}: {error}", file=sys.stderr)
        return False
    return True


def results_of(kind: str, observations: int) -> dict[str, bool | None]:
    """True where the export is proven, False where it is refused, None where the target's tools are missing."""
    policy, here = EXPORTED[kind](), installed_targets()
    settings = settings_of(kind, policy, observations)
    if is_proven(policy, here, settings):
        return dict.fromkeys(COLUMNS) | dict.fromkeys(here, True)
    return dict.fromkeys(COLUMNS) | {target: is_proven(policy, [target], settings) for target in here}


def table(rows: dict[str, dict[str, bool | None]]) -> str:
    head = f"| policy | {' | '.join(f'`{name}`' for name in COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}\n"
    return head + "".join(
        f"| {kind} | {' | '.join(cell(name, row[name]) for name in COLUMNS)} |\n" for kind, row in rows.items()
    )


def main() -> None:
    exporting.Runner = InProcessRunner
    rows = {}
    for kind in track(EXPORTED, "exporting"):
        rows[kind] = results_of(kind, int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
    text = table(rows)
    page = PAGE.read_text()
    PAGE.write_text(re.sub(f"(?s){re.escape(START)}.*{re.escape(END)}", lambda _: START + text + END, page))


if __name__ == "__main__":
    main()
