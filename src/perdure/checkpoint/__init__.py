"""Policies and training states on disk."""

from ._directory import Checkpoint as Checkpoint, load as load, load_policy_of as load_policy_of, save as save
from ._policy_file import (
    PolicyHeader as PolicyHeader,
    load_policy as load_policy,
    read_policy_header as read_policy_header,
    save_policy as save_policy,
)
