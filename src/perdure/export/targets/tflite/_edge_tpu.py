"""What a Coral Edge TPU takes, checked against its documentation; its compiler is the user's to run.

Source: https://coral.ai/docs/edgetpu/models-intro/#supported-operations: 8-bit tensors of a fixed size, of which the three
innermost axes alone may have more than one entry, and the operators and limits below. Float operators before and after
the core stay on the CPU.
"""

from perdure._core import ExportError
from perdure.graph import Graph, Node, size
from perdure.graph.int8 import FUNCTIONS

INNER_AXES = 3
PLAIN = frozenset({"TableInt8", "AddInt8", "SubInt8", "MulInt8", "Quantize", "Dequantize", "Reshape", "Pool", "Concat"})


def limit_of(node: Node) -> str | None:
    """Which documented limit an operator on bytes breaks."""
    a = node.attrs
    for t in (*node.inputs[:1], node.out):
        if size(t.shape[:-INNER_AXES]) > 1:
            return (
                f"a tensor of shape {t.shape}, of which only the {INNER_AXES} innermost axes may have several entries"
            )
    match node.op:
        case "DenseInt8":
            return (
                None
                if size(node.out.shape[:-1]) == 1
                else f"a dense layer with the output {node.out.shape}, not (1, n)"
            )
        case "ConvInt8":
            return None if a["dilation"][0] == a["dilation"][1] else f"a convolution with dilation {a['dilation']}"
        case "Slice":
            return None if set(a["steps"]) <= {1} else f"a slice with steps {a['steps']}, not 1"
        case "Pad":
            return (
                None if not any((*a["pads"][0], *a["pads"][-1])) else f"padding of {a['pads']}, not of rows and columns"
            )
    return None if node.op in PLAIN else f"the operator {node.op}"


def core_nodes(graph: Graph) -> list[Node]:
    """The operators on the bytes of the int8 core."""
    inside, found = set[int](), []
    for node in graph.nodes():
        if node.op in FUNCTIONS or any(id(t) in inside for t in node.inputs):
            found.append(node)
            if node.op != "Dequantize":
                inside.add(id(node.out))
    return found


def check_core(graph: Graph) -> None:
    """Raises: ExportError for what no Edge TPU takes, with the user's line."""
    for node in core_nodes(graph):
        limit = limit_of(node)
        if limit is not None:
            raise ExportError(
                f"{node.where}: an Edge TPU does not take {limit}. Export to 'c-int8' or 'tflite-float16'."
            )


def note(file: str) -> str:
    return f"For Coral: edgetpu_compiler {file} (not run here: its operators are on the Edge TPU's documented list)"
