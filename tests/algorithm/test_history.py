"""What was saved under former names of settings and environments is read with those of today."""

import pytest

from perdure._core import Instance, describe, rebuild, to_date
from perdure.algorithm import DDPG, TD3
from perdure.env import TimeLimit, probe


@pytest.mark.parametrize("algorithm", [DDPG, TD3])
def test_noise_has_become_the_exploration_noise(algorithm):
    saved = Instance(f"algorithm.{algorithm.__name__}", {"noise": 0.25, "tau": 0.01})
    today = to_date(saved, "algorithm")
    assert today.fields == {"exploration_noise": 0.25, "tau": 0.01}
    assert algorithm(**today.fields).exploration_noise == 0.25


@pytest.mark.parametrize(("old", "new"), [("TimeLimit", probe.Truncation), ("Memory", probe.ActOnMemory)])
def test_probes_have_other_names(old, new):
    described = renamed_in(describe(TimeLimit(new(continuous=True), 5)), f"probe.{new.__name__}", f"probe.{old}")
    assert rebuild(described, {}) == TimeLimit(new(continuous=True), 5)


def renamed_in(node, today, then):
    """A description with another name of a class in it."""
    if isinstance(node, dict):
        return {key: renamed_in(value, today, then) for key, value in node.items()}
    if isinstance(node, list):
        return [renamed_in(value, today, then) for value in node]
    return then if node == today else node
