"""What `perdure train` chooses from: every registered algorithm, and every kind of body, with their fields as flags."""

import functools
import inspect
import operator
from collections.abc import Callable
from typing import Annotated, Any, get_origin

import tyro

from perdure._core import lookup, name_of
from perdure.algorithm import registered_algorithms
from perdure.policy import BODIES

CONSTRUCTORS = tyro.constructors.ConstructorRegistry()


@CONSTRUCTORS.primitive_rule
def function_by_name(
    info: tyro.constructors.PrimitiveTypeInfo,
) -> tyro.constructors.PrimitiveConstructorSpec[Callable[..., Any]] | None:
    """A function, such as an activation, by the name that files hold for it: tanh, relu, silu, gelu, ..."""
    if get_origin(info.type) is not Callable and info.type is not Callable:
        return None
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="NAME",
        instance_from_str=lambda words: lookup(words[0], "function"),
        is_instance=callable,
        str_from_instance=lambda function: [str(name_of(function))],
    )


def one_of(choices: dict[str, object]) -> Any:
    """Annotations as subcommands: one has to be chosen."""
    named = (Annotated[choice, tyro.conf.subcommand(name)] for name, choice in choices.items())
    return Annotated[functools.reduce(operator.or_, named), tyro.conf.arg(name="")]


def one_body() -> Any:
    """The records of bodies as subcommands, each with its own defaults; a record in it that may be None is flags too."""
    named = (
        Annotated[
            tyro.conf.AvoidSubcommands[record],  # type: ignore[valid-type, misc]
            tyro.conf.subcommand(kind, default=record()),
        ]
        for kind, record in BODIES.items()
    )
    return Annotated[functools.reduce(operator.or_, named), tyro.conf.arg(name="")]


def with_choices(train: Callable[..., None]) -> Callable[..., None]:
    """`train` with the algorithms and bodies that there are now in place of their abstract types."""

    def command(*arguments: Any, **settings: Any) -> None:
        train(*arguments, **settings)

    chosen = {"algorithm": one_of(dict(registered_algorithms())), "body": one_body()}
    signature = inspect.signature(train)
    parameters = [p.replace(annotation=chosen.get(p.name, p.annotation)) for p in signature.parameters.values()]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {**train.__annotations__, **chosen}
    command.__doc__ = train.__doc__
    return command


def kind_as_word(arguments: list[str]) -> list[str]:
    """`train ppo CartPole-v1 --kind recurrent`, the form of former versions, as `train ppo recurrent CartPole-v1`."""
    for i, argument in enumerate(arguments):
        flag, _, kind = argument.partition("=")
        if flag in ("--kind", "--policy.kind") and arguments[0] == "train":
            rest = arguments[:i] + arguments[i + 1 + (not kind) :]
            kind = kind or "".join(arguments[i + 1 : i + 2])
            return [*rest[:2], kind, *rest[2:]]
    return arguments
