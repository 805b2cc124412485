"""PyTorch: an `nn.Module` of the graph, as TorchScript (`.pt`) and as an exported program (`.pt2`)."""
