"""How well a policy does."""

from ._native import evaluate as evaluate
from ._play import Act as Act, play as play
from ._summary import ReturnSummary as ReturnSummary, summarize as summarize
