"""The weights by name, the architecture as JSON, and a numpy script that runs them: to write a runtime by hand."""

from ._target import WEIGHTS as WEIGHTS
