"""The weights by name, the architecture as JSON, and a numpy script that runs them: to write a runtime by hand."""

from ._read import read_weights as read_weights
from ._target import WEIGHTS as WEIGHTS
