"""The proof: what is asked, what the policy answers, how a target's own runtime is asked, and what counts as equal.

Runtimes run in processes of their own: `replay.py` with a target's runner, `serve.mjs` for those in JavaScript.
"""

from ._chromium import missing_chromium as missing_chromium
from ._coverage import Coverage as Coverage
from ._golden import choose_golden as choose_golden, golden_rows as golden_rows
from ._javascript import missing_package as missing_package, named_modules_only as named_modules_only
from ._observations import as_rows as as_rows, sample_leaf as sample_leaf
from ._proof import (
    Case as Case,
    Reference as Reference,
    Verdict as Verdict,
    expect as expect,
    judge as judge,
    make_case as make_case,
)
from ._run import Answer as Answer, Job as Job, Runner as Runner
from ._tolerance import (
    TOLERANCE as TOLERANCE,
    Arrays as Arrays,
    float_errors as float_errors,
    scale_of as scale_of,
)
