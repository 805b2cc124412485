"""Shapes that do not fit are refused, where broadcasting and clamped indices would give a number that looks right."""

import subprocess
import sys

import jax.numpy as jnp
import pytest

from perdure.distribution import Bernoulli, Categorical, MultiCategorical, Normal, SquashedNormal, StateDependentNormal

MISFITS = [
    ("Normal(jnp.zeros(2), jnp.zeros(1))", "log_std has shape (1,), but mean has (2,)"),
    ("Normal(jnp.zeros(2), jnp.zeros(()))", "log_std has shape ()"),
    ("Normal(jnp.zeros(2), jnp.zeros(2)).log_prob(jnp.zeros(1))", "value has shape (1,)"),
    ("SquashedNormal(jnp.zeros(1), jnp.zeros(2))", "log_std has shape (2,)"),
    ("SquashedNormal(jnp.zeros(2), jnp.zeros(2)).log_prob(jnp.zeros(1))", "value has shape (1,)"),
    ("StateDependentNormal(jnp.zeros(2), jnp.zeros(3), jnp.zeros((3, 1)))", "log_std has shape (3, 1)"),
    ("MultiCategorical(jnp.zeros(7), (2, 3))", "logits has shape (7,), but nvec = (2, 3) are 5 choices"),
    ("MultiCategorical(jnp.zeros(4), (2, 3))", "logits has shape (4,)"),
    ("MultiCategorical(jnp.zeros(5), (2, 3), jnp.ones(7, bool))", "mask has shape (7,)"),
    ("MultiCategorical(jnp.zeros(5), (2, 3)).log_prob(jnp.zeros(1, int))", "value has shape (1,)"),
    ("Categorical(jnp.zeros(3), jnp.ones(1, bool))", "mask has shape (1,), but logits has (3,)"),
    ("Categorical(jnp.zeros(3)).log_prob(jnp.zeros(3, int))", "value has shape (3,)"),
    ("Bernoulli(jnp.zeros(3), jnp.ones(2, bool))", "mask has shape (2,), but 3 bits have two values each"),
    ("Bernoulli(jnp.zeros(3)).log_prob(jnp.zeros(1, int))", "value has shape (1,)"),
]

PROGRAM = """
import sys
import jax.numpy as jnp
from perdure.distribution import *
for misfit in sys.argv[1:]:
    try:
        print("taken:", eval(misfit))
    except ValueError as error:
        print(error)
"""


def test_every_misfit_is_a_value_error_in_programs_of_users():
    """In a process of its own: in this one jaxtyping would refuse them first."""
    program = [sys.executable, "-c", PROGRAM, *(misfit for misfit, _ in MISFITS)]
    told = subprocess.run(program, capture_output=True, text=True, check=True).stdout.splitlines()
    for (misfit, message), line in zip(MISFITS, told, strict=True):
        assert message in line, misfit


@pytest.mark.parametrize(
    "distribution",
    [
        Normal(jnp.zeros(2), jnp.zeros(2)),
        SquashedNormal(jnp.zeros(2), jnp.zeros(2)),
        StateDependentNormal(jnp.zeros(2), jnp.ones(3), jnp.zeros((3, 2))),
        Categorical(jnp.zeros(3), jnp.ones(3, bool)),
        MultiCategorical(jnp.zeros(5), (2, 3), jnp.ones(5, bool)),
        Bernoulli(jnp.zeros(3), jnp.ones(6, bool)),
    ],
)
def test_what_fits_is_taken(distribution):
    assert jnp.isfinite(distribution.log_prob(distribution.mode()))
