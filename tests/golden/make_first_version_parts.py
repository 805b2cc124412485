"""Makes `first_version/parts`: one of each class that no policy or training there has. Run with the first version, once.

python tests/golden/make_first_version_parts.py
"""

from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
from jax import random as jr

from perdure._core import make
from perdure.algorithm import REINFORCE
from perdure.checkpoint import save_policy
from perdure.env import classic_control, probe, wrapper
from perdure.env.adapter import HostSpec
from perdure.network import (
    CNN,
    GRU,
    Bounded,
    Celu,
    ChannelsFirst,
    Elu,
    HardShrink,
    Liquid,
    LiquidCommand,
    SoftShrink,
    Stack,
)
from perdure.policy import FixedNormalizer, NormalizedImage, QFunction
from perdure.space import Box, Discrete, MultiBinary, Tuple
from perdure.utils import Serializable, register

PROBES = (
    "Act",
    "ActOnObservation",
    "ConstantValue",
    "Discount",
    "Masked",
    "Memory",
    "TimeLimit",
    "ValueFromObservation",
)


@register(name="golden.Parts")
class Parts(Serializable):
    parts: tuple
    records: tuple = eqx.field(static=True)


def parts() -> Parts:
    from perdure.policy import UnscaledConvolutions  # which later versions do not have

    image, env = (
        CNN((12, 12, 1), 4, channels=(2,), kernels=(4,), strides=(3,), key=jr.key(0)),
        classic_control.Pendulum(),
    )
    numbers = [jnp.linspace(0.5, 1.5, 144)] * 4
    fixed = make(FixedNormalizer, dict(zip(("mean", "mean_remainder", "deviation", "limit"), numbers, strict=True)))
    liquid = Liquid(3, 6, 2, key=jr.key(1))
    return Parts(
        parts=(
            ChannelsFirst(image),
            Stack((GRU(3, 2, key=jr.key(3)), GRU(2, 2, key=jr.key(4)))),
            NormalizedImage(fixed, image),
            make(LiquidCommand, {"inter": liquid.inter.layer, "command": liquid.command}),
            QFunction(Box(-jnp.ones(3), 1.0), Box(-jnp.ones(2), 1.0), hidden_sizes=(3,), key=jr.key(2)),
            *(kind(env) for kind in (wrapper.ClipAction, wrapper.RescaleAction, wrapper.Identity)),
            *(kind(env) for kind in (wrapper.FlattenObservation, wrapper.NormalizeReward)),
            wrapper.TransformObservation(env, jnp.tanh, Box(-jnp.ones(3), 1.0)),
            *(classic_control.Acrobot(), classic_control.MountainCar(), classic_control.MountainCarContinuous()),
            *(getattr(probe, name)() for name in PROBES),
        ),
        records=(
            *(Bounded(-0.5, 0.5), Celu(0.5), Elu(0.5), HardShrink(0.1), SoftShrink(0.1)),
            *(Tuple((Discrete(2), MultiBinary((2, 2)))), UnscaledConvolutions(features=3)),
            *(REINFORCE(num_envs=1), HostSpec("Host-v0", Discrete(2), Discrete(3), True)),
        ),
    )


if __name__ == "__main__":
    save_policy(Path(__file__).parent / "first_version" / "parts", parts())
