"""Action distributions: sample, mode, log-probability, entropy."""

from ._base import AbstractDistribution as AbstractDistribution
from ._categorical import Bernoulli as Bernoulli, Categorical as Categorical, MultiCategorical as MultiCategorical
from ._normal import Normal as Normal, SquashedNormal as SquashedNormal
from ._state_dependent import StateDependentNormal as StateDependentNormal
