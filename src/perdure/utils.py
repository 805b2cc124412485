"""Small things for users: saving modules of their own and what they were before, seeds, the device, checks.

>>> class MyModule(Serializable):
...     a: float
>>> MyModule(1.0).serialize("my_module.eqx")
>>> MyModule.deserialize("my_module.eqx", 0.0)
MyModule(a=1.0)
"""

import random

import jax
import numpy as np
from jax import random as jr
from jaxtyping import Array, Key

from ._core import (
    Instance as Instance,
    Leaf as Leaf,
    Serializable as Serializable,
    added as added,
    became as became,
    changed as changed,
    leaf as leaf,
    learned as learned,
    register as register,
    removed as removed,
    renamed as renamed,
    reordered as reordered,
    retired as retired,
    set_debug as set_debug,
)


def set_seed(seed: int) -> Key[Array, ""]:
    """A JAX key made from `seed`, after seeding the global generators of Python's `random` and numpy with it too.

    Perdure itself draws random numbers only from the keys it is given; the global generators matter to host
    environments and to code of others.

    Raises: ValueError if `seed` is not in [0, 2**32).
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"set_seed got {seed}, but a seed lies in [0, 2**32). Try {seed % 2**32}.")
    random.seed(seed)
    np.random.seed(seed)
    return jr.key(seed)


def set_device(name: str | None = None) -> jax.Device:
    """The device that new arrays go to from now on: `"cpu"`, `"gpu"`, `"gpu:1"`, or None for the best there is.

    Raises: ValueError if there is no such device, naming those there are.
    """
    platform, _, index = ("" if name is None else name).partition(":")
    try:
        device = jax.devices(platform or None)[int(index or 0)]
    except (RuntimeError, IndexError, ValueError) as error:
        known = sorted({f"{device.platform}:{device.id}" for device in [*jax.devices(), *jax.devices("cpu")]})
        raise ValueError(f"There is no device {name!r}. Here: {', '.join(known)}.") from error
    jax.config.update("jax_default_device", device)
    return device
