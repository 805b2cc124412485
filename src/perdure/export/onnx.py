"""ONNX: `to_onnx`, and the writer alone."""

from ._to_onnx import to_onnx as to_onnx
from .targets.onnx import write_onnx as write_onnx
