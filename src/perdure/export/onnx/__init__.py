"""ONNX: the writer, and `to_onnx`."""

from ._to_onnx import to_onnx as to_onnx
from ._write import write_onnx as write_onnx
