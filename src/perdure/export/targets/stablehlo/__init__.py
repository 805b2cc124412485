"""StableHLO: the policy as `jax.export` bytes for cpu, cuda and tpu, run by JAX without Perdure."""

from ._target import STABLEHLO as STABLEHLO
