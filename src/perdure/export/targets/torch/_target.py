"""The targets `torchscript` and `torch-export`.

In both, `forward` takes the inputs of the signature in its order, with a batch axis, and gives a tuple of the outputs;
`signature.json` in the file has the names. PyTorch deprecates TorchScript; it is what C++ and older servers load today.
"""

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from perdure._core import import_extra
from perdure.export.program import Program
from perdure.export.proof import Arrays

from .._record import Target, Written
from ._cpp import write_loader

if TYPE_CHECKING:
    import torch

EXAMPLE_BATCH = 7  # any but 0 and 1, which torch.export takes for fixed


def require_torch() -> None:
    import_extra("torch", "torch")


def module_of(program: Program) -> "tuple[torch.nn.Module, tuple[torch.Tensor, ...]]":
    """The graph as a module, and an example of what it takes."""
    import torch

    from ._module import GraphModule
    from ._rules import dtype_of

    ports = program.signature.inputs
    examples = tuple(torch.zeros((EXAMPLE_BATCH, *p.shape), dtype=dtype_of(p.dtype)) for p in ports)
    return GraphModule(program.graph), examples


def signature_file(program: Program) -> dict[str, str]:
    sign = program.signature
    names = {"inputs": [p.name for p in sign.inputs], "outputs": [p.name for p in sign.outputs]}
    return {"signature.json": json.dumps(names)}


def write_torchscript(program: Program, directory: Path, name: str) -> Written:
    import torch

    file = f"{name}.pt"
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # that TorchScript is deprecated, and that shapes are read while tracing
        traced = torch.jit.trace(*module_of(program), check_trace=False)
        torch.jit.save(traced, str(directory / file), _extra_files=signature_file(program))
    return Written(file)


def write_cpp(program: Program, directory: Path, name: str, golden: Arrays) -> list[str]:
    """The C++ program beside the TorchScript file. Not compiled here: that takes a compiler and half a minute."""
    file = f"{name}_torch.cpp"
    (directory / file).write_text(write_loader(program, name, golden))
    return [file]


def write_torch_export(program: Program, directory: Path, name: str) -> Written:
    import torch

    file = f"{name}.pt2"
    batch = torch.export.Dim("batch", min=1)
    module, given = module_of(program)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        shapes = ({0: batch},) * len(given)
        made = torch.export.export(module, given, dynamic_shapes=(shapes,))
        torch.export.save(made, str(directory / file), extra_files=signature_file(program))
    return Written(file)


RUNNER = Path(__file__).with_name("runner.py")
TORCHSCRIPT = Target("torchscript", write_torchscript, RUNNER, require_torch, write_cpp)
TORCH_EXPORT = Target("torch-export", write_torch_export, RUNNER, require_torch)
