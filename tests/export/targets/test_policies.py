"""Every kind of policy exports to every target with proof; those with a memory over 100 steps with resets."""

import pytest

from perdure._core import ExportError
from perdure.export import export
from perdure.export.targets._registry import TARGETS
from tests.support.export.comparison import FULL
from tests.support.export.in_process import in_process as in_process, installed_targets
from tests.support.export.kinds import EXPORTED, LARGE, REFUSED, settings_of
from tests.support.policy_kinds import some_slow
from tests.support.shared_files import ROOT


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("kind", some_slow(("cnn actor-critic", "liquid soft"), EXPORTED))
def test_every_kind_of_policy_is_the_same_in_every_target(kind, tmp_path):
    if kind == LARGE and not FULL:
        pytest.skip("takes minutes: runs with PERDURE_FUZZ=full")
    policy = EXPORTED[kind]()
    targets = [target for target in installed_targets() if (kind, target) not in REFUSED]
    report = export(policy, tmp_path / "policy", targets, **settings_of(kind, policy, 200))
    assert [row.target for row in report.targets] == targets
    assert all(row.ties <= 0.02 * row.observations for row in report.targets)
    is_tied = {row.target for row in report.targets if row.precision == "int8" and row.ties}  # another byte is counted
    assert all(row.max_error <= 1e-5 for row in report.targets if row.target not in is_tied)


@pytest.mark.parametrize(("kind", "target"), REFUSED)
def test_what_cannot_be_written_is_refused_with_the_reason(kind, target, tmp_path):
    if target not in installed_targets():
        pytest.skip(f"what writes {target} is not installed")
    with pytest.raises(ExportError, match=REFUSED[kind, target]):
        export(EXPORTED[kind](), tmp_path / "policy", [target], num_observations=20)
    assert not (tmp_path / "policy").exists()


def test_the_table_of_the_docs_has_every_kind_and_every_target():
    page = (ROOT / "docs" / "exporting.md").read_text()
    table = page.partition("<!-- support matrix -->")[2].partition("<!-- end")[0].strip().splitlines()
    rows = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in table]
    columns = {name: target for name, target in TARGETS.items() if name != "triton"}  # its model is the ONNX file
    assert rows[0] == ["policy", *columns]
    assert [row[0] for row in rows[2:]] == list(EXPORTED)
    for kind, *cells in rows[2:]:
        for cell, (name, target) in zip(cells, columns.items(), strict=True):
            proven = "proven" if target.precision == "float32" else "quantised"
            assert cell == ("refused" if (kind, name) in REFUSED else proven)
