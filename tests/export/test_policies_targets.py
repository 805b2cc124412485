"""Every kind of policy exports to every target with proof; those with a memory over 100 steps with resets."""

import pytest
from export_in_process import in_process as in_process, installed_targets

from perdure.export import export
from policy_kinds import make, some_slow


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("kind", some_slow(("cnn actor-critic", "liquid soft")))
def test_every_kind_of_policy_is_the_same_in_every_target(kind, tmp_path):
    policy, targets = make(kind), installed_targets()
    has_choices = policy.action_space.mask_size > 0
    report = export(policy, tmp_path / "policy", targets, action_mask=has_choices, num_observations=200)
    assert [row.target for row in report.targets] == targets
    assert all(row.max_error <= 1e-5 and row.ties <= 0.02 * row.observations for row in report.targets)
