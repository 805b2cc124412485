"""Every kind of policy exports to C with proof; those with a memory over 100 steps with resets."""

import pytest
from export_c_support import needs_compiler

from perdure.export import export
from policy_kinds import make, some_slow

pytestmark = needs_compiler


@pytest.mark.parametrize("kind", some_slow(("cnn actor-critic", "liquid soft")))
def test_every_kind_of_policy_is_the_same_in_c(kind, tmp_path):
    policy = make(kind)
    has_choices = policy.action_space.mask_size > 0
    report = export(policy, tmp_path / "policy", ["c"], action_mask=has_choices, num_observations=200)
    assert (tmp_path / "policy" / "policy.c").is_file()
    assert report.targets[0].memory["flash_bytes"] > 0
