"""ONNX: the writer, and the model of a program."""

from ._target import ONNX as ONNX, model_of as model_of, require_onnx as require_onnx, serialize as serialize
from ._write import write_onnx as write_onnx
