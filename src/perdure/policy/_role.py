"""What a user calls to make a policy: roles, and roles on a kind of body.

    ActorCriticPolicy(env, RecurrentBody(cell="lstm"), squash=True, key=key)
    RecurrentActorCriticPolicy(env, cell="lstm", squash=True, key=key)

Both give the same policy. A role has two classes of Equinox, one without and one with a memory, and its call makes one of them;
so it is usable wherever a class is, but nothing is of its own class, and no file names it.
"""

import dataclasses
import functools
import inspect
import operator
from abc import ABCMeta
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import equinox as eqx
from jaxtyping import Array, Key

from perdure._core import deserialize
from perdure.space import AbstractSpace

from ._base import AbstractPolicy, AbstractStatefulPolicy, AbstractStatelessPolicy
from ._body import AbstractBody, Body
from ._body_policy import AbstractBodyPolicy
from ._body_records import AbstractBodyRecord, CNNBody, Layers, LiquidBody, MLPBody, RecurrentBody, record_of
from ._frozen import Frozen
from ._role_settings import CNNSettings, LiquidSettings, MLPSettings, RecurrentSettings
from ._separate_bodies import SeparateBodies
from ._spaces import HasSpaces

if TYPE_CHECKING:
    from typing import Self, Unpack


class RoleType(type):
    """The type of roles: it calls their `__new__`, and takes for their instances what that makes.

    A role names its two `classes` and what is `usual` in it. With a `record` it is the role on that kind of body, called with
    the fields of the record beside the settings of the role.
    """

    classes: tuple[type[AbstractBodyPolicy], ...] = ()  # of what it makes: without and with a memory
    usual: Layers
    record: type[AbstractBodyRecord] | None = None
    __signature__: inspect.Signature

    def __new__(mcs, name: str, bases: tuple[type, ...], members: dict[str, Any], *, init: bool = True) -> "RoleType":
        return super().__new__(mcs, name, bases, members)  # `init=False` is for type checkers, see `Role`

    def __init__(cls, name: str, bases: tuple[type, ...], members: dict[str, Any], *, init: bool = True):
        super().__init__(name, bases, members)
        if not cls.classes:
            return
        cls.name = name
        cls.__signature__ = signature_of(cls)
        # Equinox refuses `interface.register`, as a module that is none would confuse it; but nothing is of this class.
        for interface in set.intersection(*(set(made.__mro__) for made in cls.classes)):
            if issubclass(interface, AbstractPolicy):
                ABCMeta.register(interface, cls)  # type: ignore[arg-type]
        if cls.record is not None:
            family = AbstractStatefulPolicy if cls.record.has_memory else AbstractStatelessPolicy
            ABCMeta.register(family, cls)  # type: ignore[arg-type]
            cls.__doc__ = "\n\n".join(
                inspect.cleandoc(of.__doc__) for of in (cls, cls.record, role_of(cls)) if of.__doc__
            )

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        try:
            settings = cls.__signature__.bind(*args, **kwargs).arguments
        except TypeError as error:
            takes = ", ".join(cls.__signature__.parameters)
            raise TypeError(f"{cls.__name__}: {error}. It takes {takes}.") from None
        for name in settings.keys() & {"body", "critic_body"}:
            if not isinstance(settings[name], AbstractBodyRecord | None):
                raise TypeError(
                    f"{cls.__name__}: {name} is {settings[name]!r:.80}, but a record of a body is wanted, such as MLPBody()."
                )
        if cls.record is None:
            return super().__call__(*args, **kwargs)  # what `__new__` gives is of another class: no `__init__` follows
        own = {field.name for field in dataclasses.fields(cls.record)} & settings.keys()
        body = cls.record(**{name: settings.pop(name) for name in own})
        return role_of(cls)(settings.pop("env"), body, **settings)

    def __instancecheck__(cls, instance: object) -> bool:
        if not cls.classes:  # what several roles share
            below: list[type] = cls.__subclasses__()
            return any(isinstance(instance, role) for role in below)
        if not isinstance(instance, cls.classes):
            return False
        body = inner_body(instance.body)
        return cls.record is None or (isinstance(body, Body) and record_of(body.architecture) is cls.record)

    def __subclasscheck__(cls, other: type) -> bool:
        return super().__subclasscheck__(other) or (cls.record is None and issubclass(other, cls.classes))


def role_of(cls: RoleType) -> RoleType:
    """The role that a class with a record is on."""
    return next(base for base in cls.__mro__ if isinstance(base, RoleType) and base.classes and base.record is None)


def assembled(role: type, body: AbstractBody | Frozen, observation_space: AbstractSpace | None, **parts: Any) -> Any:
    """A policy of the role, of the class that fits the body; without `observation_space` on that of the body.

    Raises: TypeError if neither says which space it is.
    """
    space = getattr(body, "observation_space", None) if observation_space is None else observation_space
    if not isinstance(space, AbstractSpace):
        raise TypeError(f"{type(body).__name__} does not say which space it sees. Give observation_space.")
    fitting = role.classes[body.reset() is not None]  # type: ignore[attr-defined]
    return fitting(observation_space=space, body=body, **parts)


def inner_body(body: eqx.Module) -> eqx.Module:
    """What a frozen body freezes, and of separate ones the actor's."""
    while isinstance(body, Frozen | SeparateBodies):
        body = body.module if isinstance(body, Frozen) else body.actor
    return body


def signature_of(cls: RoleType) -> inspect.Signature:
    """The parameters of a role's `__new__`; on a kind of body, the record's fields with what is usual stand for the body."""
    env, body, *settings = list(inspect.signature(cls.__new__).parameters.values())[1:]
    if cls.record is None:
        return inspect.Signature([env, body, *settings], return_annotation=cls)
    usual, fields = cls.record.usual_in(cls.usual)._asdict(), []
    for field in dataclasses.fields(cls.record):
        default, kind = field.default, field.type
        if default is None and field.name in usual:
            default, kind = usual[field.name], functools.reduce(operator.or_, set(get_args(kind)) - {type(None)})
        fields.append(inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind))
    settings = [s for s in settings if cls.record.has_memory or s.name != "separate_critic"]
    return inspect.Signature([env, *fields, *settings], return_annotation=cls)


if TYPE_CHECKING:
    # To a type checker a role is a subclass of what it makes: hence `init=False`, as its fields are not what it is called with.
    class Role:
        def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    class OnMLP(Role, AbstractStatelessPolicy, init=False):
        def __new__(cls, env: HasSpaces, *, key: Key[Array, ""], **settings: Unpack[MLPSettings]) -> Self: ...

    class OnCNN(Role, AbstractStatelessPolicy, init=False):
        def __new__(cls, env: HasSpaces, *, key: Key[Array, ""], **settings: Unpack[CNNSettings]) -> Self: ...

    class OnRecurrent(Role, AbstractStatefulPolicy, init=False):
        def __new__(cls, env: HasSpaces, *, key: Key[Array, ""], **settings: Unpack[RecurrentSettings]) -> Self: ...

    class OnLiquid(Role, AbstractStatefulPolicy, init=False):
        def __new__(cls, env: HasSpaces, *, key: Key[Array, ""], **settings: Unpack[LiquidSettings]) -> Self: ...

else:

    class Role(metaclass=RoleType):
        """Something to call for a policy."""

        @classmethod
        def deserialize(cls, path: str | Path, *args: Any, **kwargs: Any) -> Any:
            """Load from an `.eqx` file, see `Serializable.deserialize`; the other arguments are those of the call."""
            return deserialize(cls, path, *args, **kwargs)

    class OnMLP(Role):
        record = MLPBody

    class OnCNN(Role):
        record = CNNBody

    class OnRecurrent(Role):
        record = RecurrentBody

    class OnLiquid(Role):
        record = LiquidBody
