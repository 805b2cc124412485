"""How well a policy does."""

from ._native import evaluate as evaluate
from ._summary import ReturnSummary as ReturnSummary, summarize as summarize
