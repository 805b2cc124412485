"""Export: a policy for every runtime, proven to be the same policy there.

One path, whatever the policy, and the folders in its order: `trace` (to a graph, `perdure.graph`) -> `guard` -> `program`
(with names and what goes beside it) -> `proof` -> `precision` -> `targets` (one folder each) -> the verbs here.

Not-a-number: with `nan_guard`, on by default, a NaN or infinity that would be lost on the way gives -1 for a discrete
action (or component) and NaN for a continuous one, the same in every target; `guard` has the rules.
"""

from ._export import export as export
from ._report import ExportReport as ExportReport, TargetReport as TargetReport
from ._to_onnx import to_onnx as to_onnx
from ._verify import verify as verify
from .program import ExportOptions as ExportOptions
