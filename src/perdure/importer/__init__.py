"""Policies of other libraries as policies of ours. No file is trusted: nothing that one names is imported or called.

Beside the importers are the parts that they are made of, for one of your own: read the file, take its tensors by name, make
networks of them, and give the policy with its report.
"""

from ._activations import activation_named as activation_named
from ._layers import (
    channels_last as channels_last,
    convolution as convolution,
    mlp as mlp,
    recurrent_cell as recurrent_cell,
)
from ._lerax import load_lerax as load_lerax, read_lerax as read_lerax
from ._normalizer import fixed_normalizer as fixed_normalizer
from ._pickle import read_pickle as read_pickle
from ._registry import Importer as Importer, importer as importer, importers as importers, loader as loader
from ._report import (
    ImportedPolicy as ImportedPolicy,
    ImportReport as ImportReport,
    imported as imported,
    naming as naming,
)
from ._tensors import Layer as Layer, Tensors as Tensors, read_safetensors as read_safetensors
from ._torch import Checkpoint as Checkpoint, open_checkpoint as open_checkpoint, read_tensors as read_tensors
from ._values import array_of as array_of, mapping_of as mapping_of, number_of as number_of
from ._velora import load_velora as load_velora, read_velora as read_velora
from ._yaml import read_yaml as read_yaml
from ._zip import open_zip as open_zip
from .sb3 import load_sb3 as load_sb3, read_sb3 as read_sb3
