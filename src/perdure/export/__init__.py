"""Export: a policy for every runtime, proven to be the same policy there.

One path, whatever the policy: trace (`_trace`) -> graph (`_graph`) -> passes (`_passes`, `_nan_guard`) -> writer
(`onnx`, `c`, `weights`, `stablehlo`, `tflite`, `torch`, `tfjs`, `web`) -> runner (`_runners`) -> proof (`_proof`) ->
manifest (`_manifest`).

Not-a-number: with `nan_guard`, on by default, a NaN or infinity that would be lost on the way gives -1 for a discrete
action (or component) and NaN for a continuous one, the same in every target; `_nan_guard` has the rules.
"""

from ._export import export as export
from ._report import ExportReport as ExportReport, TargetReport as TargetReport
from ._verify import verify as verify
from .onnx import to_onnx as to_onnx
