"""Perdure: reinforcement-learning policies that outlive their training run.

Nothing is imported here: `import perdure` costs nothing, and each room (`perdure.policy`, `perdure.export`, ...) loads
what it needs when it is imported.
"""

__version__ = "0.2.0"
