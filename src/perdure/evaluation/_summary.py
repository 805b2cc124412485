"""Returns in a few numbers."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class ReturnSummary(NamedTuple):
    """What a set of episode returns says."""

    episodes: int
    mean: float
    low: float  # the mean's 95 % bootstrap interval
    high: float
    std: float  # between episodes
    median: float
    min: float
    max: float

    def __str__(self) -> str:
        return (
            f"mean return {self.mean:.1f} (95 % interval {self.low:.1f} to {self.high:.1f}) over {self.episodes} episodes; "
            f"median {self.median:.1f}, lowest {self.min:.1f}, highest {self.max:.1f}"
        )


def summarize(returns: Float[np.ndarray, " episodes"]) -> ReturnSummary:
    """Mean with its percentile bootstrap interval (Efron 1979, doi:10.1214/aos/1176344552; 10,000 resamples, fixed seed).

    Raises: ValueError without a return.
    """
    if returns.size == 0:
        raise ValueError("There is no return to summarise. Evaluate at least one episode.")
    x = np.asarray(returns, np.float64)
    means = np.random.default_rng(0).choice(x, (10_000, x.size)).mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    ends = float(x.min()), float(x.max())
    return ReturnSummary(x.size, float(x.mean()), float(low), float(high), float(x.std()), float(np.median(x)), *ends)
