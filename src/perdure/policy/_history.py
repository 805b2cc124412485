"""What the policies of this room were before.

Until 0.1 there was a class for each kind of body in each role, with the same fields.
"""

from collections.abc import Callable
from functools import partial

from perdure._core import added, became, renamed, retired

from ._architecture import Convolutions

for _role in ("ActorCritic", "Q", "QuantileQ", "Deterministic", "SAC"):
    for _body, _memory in (("MLP", "less"), ("CNN", "less"), ("Recurrent", "ful"), ("Liquid", "ful")):
        retired(f"{_body}{_role}Policy", became(f"State{_memory}{_role}Policy"))

retired("Memory", renamed(cell="kind"), became("RecurrentCell"))
retired("UnscaledConvolutions", added(scale_pixels=False), became("Convolutions", version=2))


def former(name: str) -> Callable[..., Convolutions]:
    """What makes a record by its name in 0.1, for the arguments that an `.eqx` file of then is loaded with.

    Raises: AttributeError for any other name.
    """
    if name == "UnscaledConvolutions":
        return partial(Convolutions, scale_pixels=False)
    raise AttributeError(f"module 'perdure.policy' has no attribute {name!r}")
