"""Environments: pure tasks of `reset` and `step`, the wrappers around them, and `make` to get one by name."""

from ._base import (
    AbstractEnv as AbstractEnv,
)
from ._base import (
    TimeStep as TimeStep,
)
from ._base import (
    autoreset as autoreset,
)
from ._base import (
    reset_where_done as reset_where_done,
)
from ._make import (
    make as make,
)
from ._make import (
    register_environment as register_environment,
)
from ._make import (
    registered_environments as registered_environments,
)
from .wrapper import (
    AbstractWrapper as AbstractWrapper,
)
from .wrapper import (
    Identity as Identity,
)
from .wrapper import (
    TimeLimit as TimeLimit,
)
