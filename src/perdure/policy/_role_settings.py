"""What type checkers and editors are told that a role on a kind of body takes; at run time records and roles say it."""

from typing import Literal, TypedDict

from perdure.network import Activation, Initialization

from ._architecture import Convolutions
from ._body_records import AbstractBodyRecord


class RoleSettings(TypedDict, total=False):
    """Those of all roles: which has which is checked when called."""

    critic_body: AbstractBodyRecord | None
    separate_critic: bool
    squash: bool
    initial_log_std: float
    gsde_interval: int | None
    num_quantiles: int
    dueling: bool
    epsilon: float


class BodySettings(RoleSettings, total=False):
    """And those of every kind of body here."""

    hidden_sizes: tuple[int, ...]
    activation: Activation
    initialization: Initialization
    keys: tuple[str, ...] | None
    normalize_observation: bool


class MLPSettings(BodySettings, total=False):
    """Of `MLPBody`."""

    shared: bool


class CNNSettings(BodySettings, total=False):
    """Of `CNNBody`."""

    convolutions: Convolutions
    trunk_sizes: tuple[int, ...]


class RecurrentSettings(BodySettings, total=False):
    """Of `RecurrentBody`."""

    cell: Literal["gru", "lstm"]
    memory_size: int
    trunk_sizes: tuple[int, ...]
    convolutions: Convolutions | None


class LiquidSettings(BodySettings, total=False):
    """Of `LiquidBody`."""

    num_neurons: int
    num_motor: int
    sparsity: float
    trunk_sizes: tuple[int, ...]
    convolutions: Convolutions | None
