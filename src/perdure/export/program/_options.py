"""`ExportOptions`: all that can be said about an export, in one record. What exports a policy takes them by keyword."""

import dataclasses
import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict, TypeVar

from jaxtyping import Array, ArrayLike, Key, PyTree

from perdure.env import AbstractEnv
from perdure.env.adapter import HostEnv

FunctionT = TypeVar("FunctionT", bound=Callable[..., object])


@dataclasses.dataclass(frozen=True, eq=False)
class ExportOptions:
    """What is exported and how it is proven. `export`, `to_onnx` and `lower` take the same by keyword.

    Raises: ValueError for a name that is no plain file name, or outputs that are no sequence of names.
    """

    name: str = "policy"
    """Of the files, and of the model in them."""
    deterministic: bool = True
    """The best action; otherwise one sampled from an input `noise`, which the manifest says how to draw."""
    action_mask: bool = False
    """Give the exported policy an input `action_mask`, True where an action is legal."""
    nan_guard: bool = True
    """Answer a broken observation by -1 (choices) or NaN (numbers) instead of a plausible action."""
    outputs: tuple[str, ...] = ("action",)
    """What it gives: `action`, and `logits`, `q_values` or `value` where the policy has them."""
    environment: str | None = None
    """The id of the task, such as CartPole-v1, which the target `web` plays if it knows it."""

    num_observations: int = 1000
    """How many samples of the observation space are compared, beside its extremes."""
    observations: PyTree[ArrayLike] | None = None
    """A batch of observations, as the observation space has them, that are compared too."""
    calibration: AbstractEnv | HostEnv | str | Path | None = None
    """What int8 is fitted to: an environment, or a .npy or .npz file; by default `observations`, else samples of the space."""
    key: Key[Array, ""] | None = None
    """Chooses the samples; by default always the same."""

    def __post_init__(self) -> None:
        if self.name in ("", "..") or Path(self.name).name != self.name:
            raise ValueError(f"name={self.name!r} is no plain file name. Give one without folders, such as 'policy'.")
        if isinstance(self.outputs, str):
            raise ValueError(f"outputs is {self.outputs!r}, but it is a list of names. Give [{self.outputs!r}].")
        object.__setattr__(self, "outputs", tuple(self.outputs))


class ProgramKeywords(TypedDict, total=False):
    """The fields of `ExportOptions` that say what the exported policy is."""

    name: str
    deterministic: bool
    action_mask: bool
    nan_guard: bool
    outputs: Sequence[str]
    environment: str | None


class ExportKeywords(ProgramKeywords, total=False):
    """All of them: also those that say what it is compared on."""

    num_observations: int
    observations: PyTree[ArrayLike] | None
    calibration: AbstractEnv | HostEnv | str | Path | None
    key: Key[Array, ""] | None


def options_of(
    options: ExportOptions | None, keywords: Mapping[str, object], known: type[ProgramKeywords] = ProgramKeywords
) -> ExportOptions:
    """The record, with what was given by keyword in place of its fields.

    Raises: TypeError for a keyword that is none of `known`.
    """
    for name in keywords:
        if name not in known.__annotations__:
            close = difflib.get_close_matches(name, known.__annotations__, 1)
            hint = f" Did you mean {close[0]!r}?" if close else f" Known: {', '.join(known.__annotations__)}."
            raise TypeError(f"got an unexpected keyword argument {name!r}.{hint}")
    return dataclasses.replace(options or ExportOptions(), **keywords)  # type: ignore[arg-type]


def shows_options(known: type[ProgramKeywords], *, without: Sequence[str] = ()) -> Callable[[FunctionT], FunctionT]:
    """Decorator: the signature that `help` and notebooks show has the keywords one by one, with their defaults."""

    def decorate(function: FunctionT) -> FunctionT:
        signature = inspect.signature(function)
        plain = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        listed = [
            inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=f.type)
            for f in dataclasses.fields(ExportOptions)
            if f.name in known.__annotations__ and f.name not in without
        ]
        function.__signature__ = signature.replace(parameters=[*plain, *listed])  # type: ignore[attr-defined]
        return function

    return decorate
