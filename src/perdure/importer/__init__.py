"""Policies of other libraries as policies of ours. No file is trusted: nothing that one names is imported or called."""

from ._lerax import load_lerax as load_lerax, read_lerax as read_lerax
from ._report import ImportedPolicy as ImportedPolicy, ImportReport as ImportReport
from ._velora import load_velora as load_velora, read_velora as read_velora
from .sb3 import load_sb3 as load_sb3, read_sb3 as read_sb3
