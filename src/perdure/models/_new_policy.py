"""A fresh policy for an algorithm, by the kind of its body."""

import dataclasses
from typing import Any

import equinox as eqx
from jaxtyping import Array, Key

from perdure.algorithm import AbstractAlgorithm
from perdure.policy import BODIES, AbstractBodyRecord, AbstractPolicy, HasSpaces


def new_policy(
    algorithm: type[AbstractAlgorithm],
    body: str | AbstractBodyRecord,
    env: HasSpaces,
    *,
    key: Key[Array, ""],
    **settings: Any,
) -> AbstractPolicy:
    """A fresh policy of the role that the algorithm trains.

    `body` is a record of `perdure.policy`, or the word for its kind: "mlp", "cnn", "recurrent", "liquid", or that of a
    record of your own. `settings` are those of the role, and with a word also those of the record.

    Raises: ValueError for an unknown kind, TypeError for an unknown setting, and what the record and the role raise.
    """
    if isinstance(body, str):
        if body not in BODIES:
            raise ValueError(f"policy={body!r} is not known. Use one of {', '.join(BODIES)}, or give a policy.")
        fields = {field.name for field in dataclasses.fields(BODIES[body])}
        body = BODIES[body](**{name: settings.pop(name) for name in fields & settings.keys()})
    new, record = algorithm.role.new_policy, body
    return eqx.filter_jit(lambda key: new(env, record, key=key, **settings))(key)
