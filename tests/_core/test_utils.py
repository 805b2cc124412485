import random

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random as jr

from perdure._core import check
from perdure.utils import set_debug, set_device, set_seed


@pytest.fixture
def debug_restored(monkeypatch):
    monkeypatch.setattr("perdure._core._debug._debug", None)


def failing(x):
    return check(x, x > 0, "x is positive. Give a negative one.")


def test_checks_are_off_by_default(debug_restored, monkeypatch):
    monkeypatch.delenv("PERDURE_DEBUG", raising=False)
    assert jax.jit(failing)(jnp.array(1.0)) == 1.0


def test_checks_raise_in_debug(debug_restored):
    set_debug(True)
    with pytest.raises(RuntimeError, match="Give a negative one"):
        eqx.filter_jit(failing)(jnp.array(1.0))


def test_checks_raise_when_the_environment_asks(debug_restored, monkeypatch):
    monkeypatch.setenv("PERDURE_DEBUG", "1")
    with pytest.raises(RuntimeError, match="Give a negative one"):
        eqx.filter_jit(failing)(jnp.array(1.0))


def test_a_seed_makes_all_generators_repeat():
    def draw():
        return jr.bits(set_seed(3)).item(), random.random(), np.random.rand()

    assert draw() == draw()
    assert (jr.key_data(set_seed(3)) == jr.key_data(jr.key(3))).all()


def test_a_seed_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"set_seed got -1.*Try 4294967295"):
        set_seed(-1)


def test_a_device_is_found_by_name_and_used():
    before = jax.config.jax_default_device
    try:
        assert set_device("cpu:0") == jax.devices("cpu")[0]
        assert jnp.zeros(1).device == jax.devices("cpu")[0]
    finally:
        jax.config.update("jax_default_device", before)


@pytest.mark.parametrize("name", ["tpu:9", "cpu:99", "cpu:first"])
def test_an_unknown_device_is_refused_naming_those_there_are(name):
    with pytest.raises(ValueError, match=rf"no device '{name}'. Here: .*cpu:0"):
        set_device(name)
