"""Files of torch.save: both layouts, and state dicts inside of other dicts."""

import io
import pickle

import numpy as np
import pytest

from perdure._core import FileFormatError
from perdure.importer import open_checkpoint, read_tensors
from tests.support.forge import state_dict, storages, torch_legacy, torch_zip

NESTED = {"agent": {"actor": state_dict()}, "optimizer": {"state": {0: {"step": 3}}}, "iter": 7}


@pytest.mark.parametrize("write", [torch_zip, torch_legacy])
def test_both_layouts_are_read(write):
    tensors = read_tensors(write())
    for (name, array), content in zip(tensors.items(), storages().values(), strict=True):
        assert array.tobytes() == content, name


@pytest.mark.parametrize("write", [torch_zip, torch_legacy])
def test_a_state_dict_inside_of_others_is_found_by_name(write):
    nested = open_checkpoint(write(NESTED)).tensors("agent", "actor")
    for name, array in read_tensors(write()).items():
        np.testing.assert_array_equal(nested[name], array)


def test_a_name_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(FileFormatError, match=r"'agent\.critic' is not there, but actor"):
        open_checkpoint(torch_zip(NESTED)).tensors("agent", "critic")
    with pytest.raises(FileFormatError, match="'int' stands where a dict should be"):
        open_checkpoint(torch_zip(NESTED)).tensors("iter")
    with pytest.raises(FileFormatError, match="'agent': 'dict' stands where a tensor should be"):
        read_tensors(torch_zip(NESTED))


@pytest.mark.parametrize("is_zip", [True, False])
def test_what_torch_itself_writes_is_read(is_zip):
    torch = pytest.importorskip("torch", reason="its own files need torch")
    network = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(3)).sum().backward()
    optimizer.step()
    stream = io.BytesIO()
    whole = {"model": network.state_dict(), "optimizer": optimizer.state_dict(), "half": torch.ones(2).bfloat16()}
    torch.save(whole, stream, _use_new_zipfile_serialization=is_zip)
    tensors = open_checkpoint(stream.getvalue()).tensors("model")
    np.testing.assert_array_equal(tensors["weight"], network.weight.detach().numpy())
    np.testing.assert_array_equal(tensors["bias"], network.bias.detach().numpy())


def test_a_dict_of_itself_ends():
    tree = {"x": None}
    tree["x"] = tree
    with pytest.raises(FileFormatError, match="stands where a tensor should be"):
        read_tensors(torch_zip(pickle.dumps(tree)))
