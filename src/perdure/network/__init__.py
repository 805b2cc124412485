"""Networks that know nothing of reinforcement learning: one item in, one item out."""

from ._activation import (
    Bounded as Bounded,
    Celu as Celu,
    Elu as Elu,
    HardShrink as HardShrink,
    LeakyRelu as LeakyRelu,
    SoftShrink as SoftShrink,
    TanhSpread as TanhSpread,
    tanh_shrink as tanh_shrink,
)
from ._cell import AbstractCell as AbstractCell, Parallel as Parallel, Stack as Stack
from ._cnn import CNN as CNN, ChannelsFirst as ChannelsFirst, Conv as Conv, check_convolutions as check_convolutions
from ._initialization import (
    Initialization as Initialization,
    check_initialization as check_initialization,
    check_sizes as check_sizes,
)
from ._liquid import (
    CfC as CfC,
    Liquid as Liquid,
    LiquidCommand as LiquidCommand,
    Mask as Mask,
    MaskedLinear as MaskedLinear,
)
from ._mlp import MLP as MLP, Activation as Activation, Linear as Linear, fold_biases as fold_biases
from ._recurrent import GRU as GRU, LSTM as LSTM, LSTMState as LSTMState
from ._wiring import LayerSizes as LayerSizes, Masks as Masks, check_circuit as check_circuit, wire as wire
