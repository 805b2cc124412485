"""Policies on disk."""

from ._policy_file import (
    PolicyHeader as PolicyHeader,
    load_policy as load_policy,
    read_policy_header as read_policy_header,
    save_policy as save_policy,
)
