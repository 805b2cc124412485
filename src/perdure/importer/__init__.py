"""Policies of other libraries as policies of ours. No file is trusted: nothing that one names is imported or called."""

from ._report import ImportReport as ImportReport
from .sb3 import ImportedPolicy as ImportedPolicy, load_sb3 as load_sb3, read_sb3 as read_sb3
