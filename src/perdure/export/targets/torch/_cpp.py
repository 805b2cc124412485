"""`policy_torch.cpp`: a C++ program that loads the TorchScript file and asks it golden vectors."""

import numpy as np

from perdure.export.program import Port, Program
from perdure.export.proof import golden_rows

from ..c._library import c_string
from ..c._storage import constant_array

KINDS = {
    "float32": "Float32", "int32": "Int32", "int8": "Int8", "uint8": "UInt8", "bool": "Bool",
}  # fmt: skip
HEAD = """\
/* Loads {name}.pt in C++ and asks it {rows} golden vectors, the last {broken} of them broken; returns 0 if it answers
 * as the policy did. With TORCH the folder of an installed torch, or libtorch:
 *
 * g++ -std=c++20 {name}_torch.cpp -I$TORCH/include -I$TORCH/include/torch/csrc/api/include -L$TORCH/lib \\
 *     -Wl,-rpath,$TORCH/lib -ltorch -ltorch_cpu -lc10 -o {name}_torch && ./{name}_torch {name}.pt */

#include <torch/script.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <vector>

template <typename T>
static torch::Tensor tensor(const T *data, std::vector<int64_t> shape, torch::ScalarType dtype) {{
    return torch::from_blob(const_cast<T *>(data), shape, dtype);
}}

static bool differs(const torch::Tensor &got, const torch::Tensor &want) {{
    if (got.sizes() != want.sizes() || got.scalar_type() != want.scalar_type()) return true;
    return got.is_floating_point() ? !torch::allclose(got, want, 1e-4, 1e-4, true) : !torch::equal(got, want);
}}"""
MAIN = """\
int main(int argc, char **argv) try {{
    const torch::InferenceMode no_gradients;
    torch::jit::Module policy = torch::jit::load(argc > 1 ? argv[1] : {file});
    const std::vector<torch::Tensor> inputs = {{
        {inputs}}};
    const std::vector<torch::Tensor> wanted = {{
        {outputs}}};
    int failed = 0;
    for (int64_t size : {{int64_t(1), int64_t({rows})}}) {{  // as single observations, and as one batch
        for (int64_t row = 0; row < {rows}; row += size) {{
            std::vector<torch::jit::IValue> given;
            for (const auto &x : inputs) given.push_back(x.slice(0, row, row + size));
            const auto answer = policy.forward(given).toTuple()->elements();
            for (size_t k = 0; k < wanted.size(); k++) {{
                failed += differs(answer[k].toTensor(), wanted[k].slice(0, row, row + size));
            }}
        }}
    }}
    std::printf("%d outputs differ\\n", failed);
    return failed != 0;
}} catch (const std::exception &error) {{
    std::fprintf(stderr, "%s\\n", error.what());
    return 2;
}}"""


def write_loader(program: Program, name: str, golden: dict[str, np.ndarray]) -> str:
    sign = program.signature
    inputs, outputs, num_broken = golden_rows(program, golden)
    rows = len(next(iter(outputs.values())))
    arrays: list[str] = []

    def tensor(prefix: str, k: int, port: Port, value: np.ndarray) -> str:
        arrays.append(constant_array(f"{prefix}_{k}", value))
        shape = ", ".join(map(str, (rows, *port.shape)))
        return f"tensor({prefix}_{k}, {{{shape}}}, torch::k{KINDS[str(port.dtype)]}),  // {port.name!a}"

    given = [tensor("in", k, port, inputs[port.name]) for k, port in enumerate(sign.inputs)]
    wanted = [tensor("out", k, port, outputs[port.name]) for k, port in enumerate(sign.outputs)]
    lines = {"inputs": "\n        ".join(given) + "\n    ", "outputs": "\n        ".join(wanted) + "\n    "}
    main = MAIN.format(file=c_string(f"{name}.pt"), rows=rows, **lines)
    return "\n\n".join([HEAD.format(name=name, rows=rows, broken=num_broken), *arrays, main]) + "\n"
