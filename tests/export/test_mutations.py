"""The proof refuses an export that is not the policy, whatever is wrong with it: single faults, tried one by one.

All of them with PERDURE_FUZZ=full, every eighth otherwise.
"""

import pytest

from perdure.export.targets import TARGETS
from tests.support.export.comparison import FULL
from tests.support.export.in_process import installed_targets
from tests.support.export.mutations import faults, prove, refusal, table
from tests.support.shared_files import ROOT

FAULTS = [fault for k, fault in enumerate(faults()) if FULL or k % 8 == 0]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.title}, {fault.policy}")
def test_a_fault_is_refused(fault):
    """And one that is known to get through still does: else the table says too little of the proof."""
    if fault.target not in installed_targets():
        pytest.skip(f"what writes and runs {fault.target} is not installed")
    prove(fault.policy, TARGETS[fault.target])  # without the fault it is right
    said = refusal(fault)
    assert (said is None) == bool(fault.survives), said
    assert said is None or f"export to {fault.target}" in said


def test_the_docs_have_every_fault():
    page = (ROOT / "docs" / "mutations.md").read_text()
    assert page.partition("<!-- faults -->")[2].partition("<!-- end")[0].strip().splitlines() == table()


def test_nearly_all_faults_are_refused_in_many_targets():
    found = faults()
    assert len(found) >= 60
    assert len({fault.target for fault in found}) >= 6
    assert sum(not fault.survives for fault in found) >= 0.95 * len(found)
