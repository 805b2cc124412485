"""What the policies of this room were before.

Until 0.1 there was a class for each kind of body in each role, with the same fields.
"""

from perdure._core import added, became, renamed, retired

for _role in ("ActorCritic", "Q", "QuantileQ", "Deterministic", "SAC"):
    for _body, _memory in (("MLP", "less"), ("CNN", "less"), ("Recurrent", "ful"), ("Liquid", "ful")):
        retired(f"{_body}{_role}Policy", became(f"State{_memory}{_role}Policy"))

retired("Memory", renamed(cell="kind"), became("RecurrentCell"))
retired("UnscaledConvolutions", added(scale_pixels=False), became("Convolutions", version=2))
