"""Where policies go: one folder a target, with its record, its writer and the script that runs what it wrote.

`Target` is what another package gives under the entry point `perdure.targets` to have a target of its own.
"""

from ._record import Target as Target, Written as Written
from ._registry import TARGETS as TARGETS, find_target as find_target, find_targets as find_targets
from ._writing import WriteRules as WriteRules, entry as entry, file_stem as file_stem, lacks as lacks
