"""The graph as an `nn.Module`: its constants are buffers, `forward` takes and gives tensors in the order of the ports."""

from typing import Any

import numpy as np
import torch

from perdure.graph import Graph, Shape, Tensor, safe

from ._rules import RULES, dtype_of


class GraphModule(torch.nn.Module):
    """Runs operator after operator. Traced, it becomes just these operators."""

    def __init__(self, graph: Graph):
        super().__init__()
        self.graph, self.names = graph, dict[int, str]()
        for node in graph.nodes():
            for t in node.inputs:
                self.keep(t)
        for _, t in graph.outputs:
            self.keep(t)
        self.eval()

    def keep(self, t: Tensor) -> None:
        if t.is_constant and id(t) not in self.names:
            name = f"w_{safe(t.name)}"
            while hasattr(self, name):
                name += "_"
            self.register_buffer(name, torch.from_numpy(np.array(t.value, order="C")))
            self.names[id(t)] = name

    def held(self, value: np.ndarray) -> torch.Tensor:
        """A constant that is no tensor of the graph."""
        return torch.from_numpy(np.array(value, order="C"))

    def sizes(self, shape: Shape) -> list[Any]:
        """A shape with the batch as the first input has it."""
        return [d if d >= 0 else -d * self.batch for d in shape]

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        self.batch = inputs[0].shape[0]
        values = {id(t): x for t, x in zip(self.graph.inputs, inputs, strict=True)}

        def read(t: Tensor) -> torch.Tensor:
            return getattr(self, self.names[id(t)]) if t.is_constant else values[id(t)]

        for node in self.graph.nodes():
            y = RULES.write(self, node, *[read(t) for t in node.inputs])
            dtype = dtype_of(node.out.dtype)
            values[id(node.out)] = y if y.dtype == dtype else y.to(dtype)
        outputs = [read(t).expand(self.sizes(t.shape)) for _, t in self.graph.outputs]
        return tuple(y.clone() if any(y is x for x in inputs) else y for y in outputs)
