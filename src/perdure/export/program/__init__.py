"""A policy as a graph with names: what it takes and gives, what the caller draws, and what a writer needs beside it."""

from ._options import (
    ExportKeywords as ExportKeywords,
    ExportOptions as ExportOptions,
    ProgramKeywords as ProgramKeywords,
    options_of as options_of,
    shows_options as shows_options,
)
from ._program import Program as Program, lower as lower, policy_fingerprint as policy_fingerprint
from ._signature import (
    Port as Port,
    Signature as Signature,
    next_name as next_name,
    observation_ports as observation_ports,
)
