"""Names for classes and functions: the allow-list that every file reader goes through.

A file never names a Python module. It holds the registered name of a class or function, by default its qualified name
without the module, so that what was saved from a script's `__main__` loads where the class is imported from a module.
Only what is registered in the loading process can come out of a file.
"""

import difflib
import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, packages_distributions, version as version_installed
from typing import Any, Literal, TypeVar, overload

import equinox as eqx
import jax
import jax.numpy as jnp

from ._errors import FileFormatError

Kind = Literal["class", "function"]
T = TypeVar("T")

# name -> what has it. More than one entry: unrelated user classes of one name, which only `lookup` has to refuse.
_holders: dict[Kind, dict[str, list[Any]]] = {"class": {}, "function": {}}
_names: dict[int, tuple[Any, str]] = {}  # id -> (the object, kept alive so that no other gets its id; its name)
_steps: dict[str, tuple[Callable[..., Any], ...]] = {}  # class name -> its upgrades, see `_history`
_retired: dict[str, str] = {}  # name that no class has any more -> the package that retired it
_protected = ("perdure", "equinox", "jax", "jaxlib")  # packages whose names nobody else may take


def _kind(value: Any) -> Kind:
    return "class" if inspect.isclass(value) else "function"


def _package(value: Any) -> str:
    return str(getattr(value, "__module__", "")).split(".")[0]


def _full_name(value: Any) -> str:
    return f"{getattr(value, '__module__', '?')}.{getattr(value, '__qualname__', type(value).__name__)}"


def _same_origin(old: Any, new: Any) -> bool:
    """One definition made twice: reloaded, a notebook cell run again, or `__main__` and the module of one file."""

    def origin(value: Any) -> tuple[str, str]:
        module = str(getattr(value, "__module__", ""))
        return getattr(sys.modules.get(module), "__file__", None) or module, getattr(value, "__qualname__", "")

    return old is new or _full_name(old) == _full_name(new) or origin(old) == origin(new)


def _default_name(value: Any) -> str:
    name = str(getattr(value, "__qualname__", "")).replace(".<locals>", "")
    if not name or "<" in name:
        raise ValueError(
            f"{_full_name(value)} has no name of its own. Give it one: "
            'perdure.utils.register(my_function, name="my_function").'
        )
    return name


def _taken(name: str, old: Any, new: Any) -> ValueError:
    return ValueError(
        f"The name {name!r} of {_full_name(new)} belongs to {_full_name(old)}. "
        f'Choose another name: @register(name="{_package(new)}.{name}").'
    )


def _check_not_retired(name: str, value: Any) -> None:
    if name in _retired:
        raise ValueError(
            f"{name!r} is the name of a retired class, so files with it mean something else. Register {_full_name(value)} "
            'under another: @register(name="...").'
        )


def _claim(value: Any, name: str) -> None:
    kind = _kind(value)
    if kind == "class":
        _check_not_retired(name, value)
    strangers = [old for old in _holders[kind].get(name, []) if not _same_origin(old, value)]
    for old in strangers:
        if kind == "function" or _package(old) in _protected or _package(value) in _protected:
            raise _taken(name, old, value)
    _, former = _names.get(id(value), (None, name))
    if former != name:
        _holders[kind][former] = [old for old in _holders[kind][former] if old is not value]
    _holders[kind][name] = [*strangers, value]
    _names[id(value)] = (value, name)


@overload
def register(value: T, *, name: str | None = None, upgrades: Sequence[Callable[..., Any]] = ()) -> T: ...
@overload
def register(
    value: None = None, *, name: str | None = None, upgrades: Sequence[Callable[..., Any]] = ()
) -> Callable[[T], T]: ...
def register(value: Any = None, *, name: str | None = None, upgrades: Sequence[Callable[..., Any]] = ()) -> Any:
    """Let `value`, a class or function, be saved to and loaded from files. Returns it, so it serves as a decorator.

    `@register`, `@register(name="my_policy")` and `register(my_function, name="my_function")` all work. The default
    name is the qualified name without the module. Defining the same thing again replaces it.

    A class whose fields change takes a step of its history with it, so that files of before go on loading: `upgrades` has
    one function for each change, in the order of the changes, the n-th of which makes version n + 1 of version n. Never take
    one away or change what it does. See `perdure.utils.added`, `renamed`, ... for the usual ones.

    Raises: ValueError if the name belongs to something of Perdure's, or to another function, or to a retired class;
    TypeError for upgrades of a function.
    """
    if value is None:
        return functools.partial(register, name=name, upgrades=upgrades)
    if upgrades and _kind(value) == "function":
        raise TypeError(f"{_full_name(value)} is a function, which has no fields that change. Leave out upgrades.")
    own = _default_name(value) if name is None else name
    _claim(value, own)
    if _kind(value) == "class":
        _steps[own] = tuple(upgrades)
    return value


def retired(name: str, *upgrades: Callable[..., Any]) -> None:
    """Say what files mean by a class that is no more: its upgrades, of which the last one makes another class of it.

    Raises: ValueError if a class has that name, if it is retired already, or if nothing is said.
    """
    if _holders["class"].get(name) or name in _retired or not upgrades:
        why = "nothing is said of it" if not upgrades else "a class has that name, or it is retired already"
        raise ValueError(f"{name!r} cannot be retired: {why}. Each name is retired once, with at least one upgrade.")
    _steps[name] = upgrades
    _retired[name] = sys._getframe(1).f_globals.get("__name__", "?").split(".")[0]


def steps_of(name: str) -> tuple[Callable[..., Any], ...]:
    """The upgrades of the class of this name, or of one that had it."""
    return _steps.get(name, ())


def version_of(name: str | None) -> int:
    """The version in which files hold the class of this name now: 1 + the number of its upgrades."""
    return 1 + len(steps_of(name or ""))


def home_of(name: str) -> str:
    """The distribution, as pip calls it, that defines the class of this name; else the module; "perdure" if none does."""
    holders = _holders["class"].get(name, [])
    package = _package(holders[0]) if holders else _retired.get(name, "perdure")
    return distribution_of(package)


@functools.lru_cache
def distribution_of(package: str) -> str:
    """What pip calls the package that is imported by this name; this name if it is none of pip's."""
    return package if package in _protected else (packages_distributions().get(package) or [package])[0]


def installed_version(distribution: str) -> str | None:
    """The version of an installed distribution; None for a module that was not installed."""
    try:
        return version_installed(distribution)
    except PackageNotFoundError:
        return None


def register_if_free(cls: type) -> None:
    """Register a class under its default name, unless that name is Perdure's; then saving one of it is the error."""
    try:
        _claim(cls, _default_name(cls))
    except ValueError:
        return  # `name_of` says so when the class is saved; until then @register(name=...) may still mend it


def is_registered(value: Any) -> bool:
    """True if `lookup` can find it."""
    return id(value) in _names


def name_of(value: Any) -> str | None:
    """The name that files hold for a class or function. None for an unregistered function.

    A class need not be registered to be described: then it is its qualified name without the module.

    Raises: ValueError for an unregistered class with a name that belongs to Perdure.
    """
    if id(value) in _names:
        return _names[id(value)][1]
    if _kind(value) == "function":
        return None
    name = _default_name(value)
    _check_not_retired(name, value)
    for old in _holders["class"].get(name, []):
        if _package(old) in _protected and not _same_origin(old, value):
            raise _taken(name, old, value)
    return name


def lookup(name: str, kind: Kind) -> Any:
    """The class or function registered as `name`.

    Raises: FileFormatError if there is none, or if two unrelated classes have that name.
    """
    holders = _holders[kind].get(name) or _holders[kind].get(_ALIASES.get(name, ""), [])
    if len(holders) == 1:
        return holders[0]
    if holders:
        both = " and ".join(_full_name(value) for value in holders)
        raise FileFormatError(
            f'The {kind} name {name!r} is shared by {both}. Give one of them another: @register(name="...").'
        )
    close = difflib.get_close_matches(name[:200], [known for known, held in _holders[kind].items() if held], n=3)
    hint = f" Close names: {', '.join(close)}." if close else ""
    raise FileFormatError(
        f"No {kind} is registered as {name[:200]!r}.{hint} Import the module that defines it before loading; "
        f"a {kind} of your own is registered with @perdure.utils.register."
    )


def registered_classes(base: type[T]) -> dict[str, type[T]]:
    """Every registered class that derives from `base`, by name, but for names that more than one class has."""
    held = {name: holders[0] for name, holders in _holders["class"].items() if len(holders) == 1}
    return {name: cls for name, cls in held.items() if issubclass(cls, base)}


@functools.partial(jax.jit, inline=True)
def gelu_exact(x: Any) -> Any:
    """x * Phi(x) with the true normal distribution function; `jax.nn.gelu` is the tanh approximation by default."""
    return jax.nn.gelu(x, approximate=False)


# What files call the functions of JAX and Equinox. These names are part of the file format: add, never change.
# The first object of each is what `lookup` gives; the others mean the same.
_BUILT_IN: dict[str, tuple[Any, ...]] = {
    "celu": (jax.nn.celu,),
    "cos": (jnp.cos, jax.lax.cos),
    "elu": (jax.nn.elu,),
    "exp": (jnp.exp, jax.lax.exp),
    "gelu": (jax.nn.gelu,),
    "gelu_exact": (gelu_exact,),
    "glu": (jax.nn.glu,),
    "hard_sigmoid": (jax.nn.hard_sigmoid,),
    "hard_swish": (jax.nn.hard_swish,),
    "hard_tanh": (jax.nn.hard_tanh,),
    "identity": (jax.nn.identity, inspect.signature(eqx.nn.MLP.__init__).parameters["final_activation"].default),
    "leaky_relu": (jax.nn.leaky_relu,),
    "log_sigmoid": (jax.nn.log_sigmoid,),
    "log_softmax": (jax.nn.log_softmax,),
    "mish": (jax.nn.mish,),
    "relu": (jax.nn.relu,),
    "relu6": (jax.nn.relu6,),
    "selu": (jax.nn.selu,),
    "sigmoid": (jax.nn.sigmoid, jax.lax.logistic),
    "silu": (jax.nn.silu,),
    "sin": (jnp.sin, jax.lax.sin),
    "softmax": (jax.nn.softmax,),
    "softplus": (jax.nn.softplus,),
    "softsign": (jax.nn.soft_sign,),
    "square": (jnp.square, jax.lax.square),
    "squareplus": (jax.nn.squareplus,),
    "standardize": (jax.nn.standardize,),
    "tanh": (jnp.tanh, jax.nn.tanh, jax.lax.tanh),
}
_ALIASES = {"swish": "silu", "hard_silu": "hard_swish", "soft_sign": "softsign", "logistic": "sigmoid"}


def _register_built_in() -> None:
    for name, functions in _BUILT_IN.items():
        _holders["function"][name] = [functions[0]]
        _names.update({id(function): (function, name) for function in functions})
    for name, value in vars(eqx.nn).items():
        if inspect.isclass(value) and issubclass(value, eqx.Module):
            register(value, name=f"eqx.nn.{name}")


_register_built_in()
