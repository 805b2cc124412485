"""What every builder of a policy takes: the content of a model, and what was noticed on the way."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import equinox as eqx
import numpy as np

from perdure._core import FileFormatError
from perdure.network import Activation
from perdure.space import AbstractSpace

from .._pickle import Node
from .._tensors import Layer, Tensors
from ._data import Fields
from ._spaces import SavedSpace
from ._vecnormalize import ObservationNormalization

# from the weights of an extractor, the observation space and the settings in the file
MakeExtractor: TypeAlias = Callable[[dict[str, np.ndarray], AbstractSpace, Mapping[str, Node]], eqx.Module]
Custom: TypeAlias = Mapping[str, str | Activation | MakeExtractor]  # by dotted name: see `read_sb3`


@dataclasses.dataclass(frozen=True)
class Source:
    """A model, read but not yet understood."""

    algorithm: str  # as its authors write it: "PPO", "QR-DQN"
    fields: Fields
    settings: Mapping[str, Node]  # policy_kwargs
    tensors: Tensors
    observation: SavedSpace
    unread: tuple[str, ...]  # keys of the observation that the networks do not take
    action_space: AbstractSpace
    extractor: str  # dotted name of the class of features extractors
    activation: Activation
    normalization: ObservationNormalization | None
    channels_first: bool
    uses_sde: bool
    custom: Mapping[str, object]
    dropped: list[str]  # what the file has and the policy has not
    notes: list[str]  # what differs from the environment or needs attention

    def leave_out(self, *prefixes: str) -> None:
        """Note which parts of the weights stay behind.

        Raises: FileFormatError for a tensor that was not used and is of none of them.
        """
        if parts := self.tensors.left_out(prefixes):
            self.dropped.append(f"weights of {', '.join(part.rstrip('.') for part in parts)}")

    def check_outputs(self, layers: Sequence[Layer], name: str, wanted: int) -> None:
        """Raises: FileFormatError unless the last of these layers, called `name`, gives as many numbers as are wanted."""
        found = len(layers[-1].bias) if layers else 0
        if found != wanted:
            raise FileFormatError(f"policy.pth: {name} gives {found} numbers, {self.action_space} takes {wanted}.")

    @property
    def gsde_interval(self) -> int | None:
        """For how many steps one draw of gSDE is held; -1 in the file means a rollout."""
        if not self.uses_sde:
            return None
        interval = self.fields.get("sde_sample_freq")
        if isinstance(interval, int) and interval > 0:
            return interval
        steps = self.fields.get("n_steps")
        return steps if isinstance(steps, int) and steps > 0 else 1
