"""Rules of settings, said at the field: `learning_rate: Positive = 3e-4`. One check reads them from the annotations."""

import dataclasses
import functools
import math
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Annotated, get_args, get_origin


class AbstractRule(ABC):
    """What a setting may be. Write one of your own into an annotation: `Annotated[float, MyRule()]`, also `| None`."""

    @abstractmethod
    def check(self, where: str, value: object) -> None:
        """Raises: TypeError for a value of another kind, ValueError for one out of range; `where` is `CLASS.field`."""


@dataclasses.dataclass(frozen=True)
class NumberRule(AbstractRule):
    """A number that lies in a range."""

    wanted: str  # ends the sentence "but it ..."
    holds: Callable[[float], bool]

    def __repr__(self) -> str:
        return self.wanted  # what `help` shows beside the type

    def check(self, where: str, value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{where} = {value!r} is {type(value).__name__}, but a number is wanted. It {self.wanted}.")
        if not self.holds(value):
            raise ValueError(f"{where} = {value}, but it {self.wanted}.")


@dataclasses.dataclass(frozen=True)
class NameRule(AbstractRule):
    """One of several names."""

    names: tuple[str, ...]

    def __repr__(self) -> str:
        return f"one of {', '.join(self.names)}"

    def check(self, where: str, value: object) -> None:
        if value not in self.names:
            raise ValueError(f"{where} = {value!r} is not known. Use one of {', '.join(self.names)}.")


@dataclasses.dataclass(frozen=True)
class FlagRule(AbstractRule):
    """True or False, and nothing that Python takes for one of them: the text "no" would count as True."""

    def __repr__(self) -> str:
        return "must be True or False"

    def check(self, where: str, value: object) -> None:
        if not isinstance(value, bool):
            raise TypeError(f"{where} = {value!r} is {type(value).__name__}, but it must be True or False.")


FLAG = FlagRule()


def is_whole(x: float) -> bool:
    return isinstance(x, int) or x.is_integer()


Positive = Annotated[float, NumberRule("must be positive and finite", lambda x: 0 < x < math.inf)]
NonNegative = Annotated[float, NumberRule("must be zero or more, and finite", lambda x: 0 <= x < math.inf)]
UnitInterval = Annotated[float, NumberRule("must lie in [0, 1]", lambda x: 0 <= x <= 1)]
Finite = Annotated[float, NumberRule("must be finite", math.isfinite)]
PositiveInt = Annotated[int, NumberRule("must be a whole number of at least 1", lambda x: x >= 1 and is_whole(x))]
NonNegativeInt = Annotated[int, NumberRule("must be a whole number, zero or more", lambda x: x >= 0 and is_whole(x))]


def alternatives(hint: object) -> tuple[object, ...]:
    """The members of a union; anything else alone."""
    return get_args(hint) if get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def rule_in(hint: object) -> AbstractRule | None:
    """The rule that an annotation holds, also in a union such as `Positive | None`. Plain `bool` is one: True or False."""
    for one in alternatives(hint):
        if one is bool:
            return FLAG
        if get_origin(one) is Annotated:
            rules = [extra for extra in get_args(one)[1:] if isinstance(extra, AbstractRule)]
            if rules:
                return rules[0]
    return None


@functools.lru_cache(maxsize=256)
def rules_of(cls: type) -> dict[str, tuple[AbstractRule, bool]]:
    """The fields of a dataclass that have a rule: it, and whether None is allowed beside it."""
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except NameError:  # a name that only a type checker sees; what is no string is known all the same
        hints = {}
    found = {}
    for field in dataclasses.fields(cls):
        hint = hints.get(field.name, field.type)
        rule = rule_in(hint)
        if rule is not None:
            found[field.name] = rule, type(None) in alternatives(hint)
    return found


def check_settings(settings: object) -> None:
    """Check every field of a dataclass whose annotation holds a rule.

    Raises: TypeError for a value of another kind, ValueError for one out of range; both name the field and its default.
    """
    cls = type(settings)
    defaults = {field.name: field.default for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name, (rule, is_optional) in rules_of(cls).items():  # type: ignore[arg-type]
        value = getattr(settings, name)
        if value is None and is_optional:
            continue
        try:
            rule.check(f"{cls.__name__}.{name}", value)
        except ValueError as error:
            default = defaults[name]
            raise ValueError(
                f"{error}" if default is dataclasses.MISSING else f"{error} The default is {default}."
            ) from None
