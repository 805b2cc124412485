"""How well a policy does."""

from ._native import evaluate as evaluate
