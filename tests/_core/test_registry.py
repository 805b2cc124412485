import types

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from jax import random as jr

from perdure._core import FileFormatError, Serializable, describe, lookup, name_of, register
from perdure.space import Box


def make_class(name: str, module: str = "somewhere", base: type = eqx.Module) -> type:
    return types.new_class(name, (base,), exec_body=lambda body: body.update(__module__=module, __qualname__=name))


def test_a_class_is_named_without_its_module():
    cls = register(make_class("Plain"))
    assert name_of(cls) == "Plain"
    assert lookup("Plain", "class") is cls


def test_a_local_class_is_named_without_locals():
    class Local(Serializable):
        pass

    assert name_of(Local) == "test_a_local_class_is_named_without_locals.Local"


def test_a_name_can_be_chosen():
    cls = register(name="chosen.Name")(make_class("Other"))
    assert name_of(cls) == "chosen.Name"
    assert lookup("chosen.Name", "class") is cls


def test_a_chosen_name_replaces_the_automatic_one():
    cls = register(make_class("Automatic", base=Serializable), name="chosen.Automatic")
    assert lookup("chosen.Automatic", "class") is cls
    with pytest.raises(FileFormatError, match="No class"):
        lookup("Automatic", "class")


def test_defining_a_class_again_replaces_it():
    register(make_class("Again", "notebook"))
    latest = register(make_class("Again", "notebook"))
    assert lookup("Again", "class") is latest


def test_a_script_and_the_module_of_the_same_file_are_one_definition(monkeypatch):
    for module in ("as_script", "as_module"):
        monkeypatch.setitem(__import__("sys").modules, module, types.SimpleNamespace(__file__="same_file.py"))
    register(make_class("Moved", "as_script"))
    latest = register(make_class("Moved", "as_module"))
    assert lookup("Moved", "class") is latest


def test_two_unrelated_classes_of_one_name_are_refused_when_looked_up():
    register(make_class("Shared", "library_a"))
    register(make_class("Shared", "library_b"))
    with pytest.raises(FileFormatError, match=r"library_a\.Shared and library_b\.Shared"):
        lookup("Shared", "class")


def test_a_name_of_ours_cannot_be_taken():
    with pytest.raises(ValueError, match=r"perdure\.space\._box\.Box.*@register\(name="):
        register(make_class("Box"))
    assert lookup("Box", "class") is Box


def test_an_unregistered_class_with_a_name_of_ours_is_refused_when_saved():
    cls = make_class("Box", base=Serializable)
    with pytest.raises(ValueError, match="belongs to perdure"):
        describe(cls())
    register(cls, name="mine.Box")
    assert describe(cls())["class"] == "mine.Box"


def test_all_spellings_of_tanh_are_one():
    assert {name_of(function) for function in (jnp.tanh, jax.nn.tanh, jax.lax.tanh)} == {"tanh"}
    assert lookup("tanh", "function") is jnp.tanh
    assert lookup("swish", "function") is jax.nn.silu


def test_the_identity_of_equinox_is_the_identity():
    mlp = eqx.nn.MLP(1, 1, 1, 1, key=jr.key(0))
    assert name_of(mlp.final_activation) == name_of(jax.nn.identity) == "identity"


def test_every_registered_activation_finds_its_way_back():
    names = [
        *("celu", "elu", "gelu", "gelu_exact", "hard_sigmoid", "hard_swish", "hard_tanh", "identity", "leaky_relu"),
        *("log_sigmoid", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "sin", "softplus", "softsign", "tanh"),
    ]
    assert [name_of(lookup(name, "function")) for name in names] == names


def test_a_function_of_another_is_not_replaced():
    register(lambda x: x + 1, name="plus_one")
    with pytest.raises(ValueError, match="plus_one"):
        register(max, name="plus_one")


def test_a_lambda_needs_a_name():
    with pytest.raises(ValueError, match=r'register\(my_function, name="my_function"\)'):
        register(lambda x: x)


def test_an_unknown_name_is_refused_with_close_ones():
    with pytest.raises(FileFormatError, match=r"'tahn'.*Close names: tanh"):
        lookup("tahn", "function")
