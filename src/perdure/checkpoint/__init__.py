"""Policies and training states on disk."""

from ._background import BackgroundSaver as BackgroundSaver
from ._compare import (
    ActionDifference as ActionDifference,
    ArrayDifference as ArrayDifference,
    Compared as Compared,
    compare_actions as compare_actions,
    compare_arrays as compare_arrays,
    compare_fields as compare_fields,
    read_side as read_side,
)
from ._directory import (
    Checkpoint as Checkpoint,
    load as load,
    load_policy_of as load_policy_of,
    put_back as put_back,
    save as save,
    verify as verify,
)
from ._find import Found as Found, Retention as Retention, checkpoints_in as checkpoints_in, latest as latest
from ._hub import Pushed as Pushed, load_from_hub as load_from_hub, push_to_hub as push_to_hub
from ._metadata import METADATA as METADATA, read_metadata as read_metadata
from ._numerics import in_words as in_words, other_numerics as other_numerics
from ._policy_file import (
    PolicyHeader as PolicyHeader,
    load_policy as load_policy,
    read_policy_header as read_policy_header,
    save_policy as save_policy,
)
from ._save_checkpoints import SaveCheckpoints as SaveCheckpoints
