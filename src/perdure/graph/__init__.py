"""The tensor graph: operators with frozen meanings, their shapes, passes, and interpreters in numpy and in JAX.

It knows no reinforcement learning: the exporter traces a policy into it, and a policy can be made of it. `interpret` (numpy)
is the reference for all else. `int8` has the integer operators, `array_functions` what numpy has no single function for.
"""

from ._function import (
    Constants as Constants,
    GraphFunction as GraphFunction,
    Input as Input,
    Output as Output,
    Step as Step,
)
from ._graph import (
    DTYPES as DTYPES,
    Graph as Graph,
    Node as Node,
    Shape as Shape,
    Tensor as Tensor,
    bind as bind,
    broadcast_shapes as broadcast_shapes,
    constant as constant,
    is_op as is_op,
    producer as producer,
    scalar as scalar,
    size as size,
)
from ._interpret import UNARY_FUNCTIONS as UNARY_FUNCTIONS, evaluate as evaluate, interpret as interpret
from ._jax import in_jax as in_jax
from ._operators import (
    ATTRIBUTES as ATTRIBUTES,
    COMPARE as COMPARE,
    CORRECTLY_ROUNDED as CORRECTLY_ROUNDED,
    ELEMENTWISE as ELEMENTWISE,
    FITTED as FITTED,
    FITTED_TO_ONE as FITTED_TO_ONE,
    emit as emit,
    kernel_size as kernel_size,
)
from ._passes import (
    at_batch_one as at_batch_one,
    channels_last as channels_last,
    name_tensors as name_tensors,
    rebuilt as rebuilt,
    rewrite as rewrite,
    safe as safe,
    simplify as simplify,
    without_batch as without_batch,
)
