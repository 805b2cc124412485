"""Networks that know nothing of reinforcement learning: one item in, one item out."""

from ._cnn import CNN as CNN, Conv as Conv
from ._initialization import Initialization as Initialization
from ._mlp import MLP as MLP, Activation as Activation, Linear as Linear
