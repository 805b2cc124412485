"""PyTorch: an `nn.Module` of the graph, as TorchScript (`.pt`) and as an exported program (`.pt2`)."""

from ._target import TORCH_EXPORT as TORCH_EXPORT, TORCHSCRIPT as TORCHSCRIPT
