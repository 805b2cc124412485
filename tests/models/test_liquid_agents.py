"""Liquid agents on Gymnasium's environments, as Velora's guide has them."""

import jax
import numpy as np
import optax
import pytest

from perdure.models import LiquidDDPG, LiquidPPO, LiquidSAC
from perdure.utils import set_device, set_seed
from tests.support.bits import bits

gymnasium = pytest.importorskip("gymnasium", reason="the extra `gym` is not installed")


def test_the_guide_runs_as_written(tmp_path, capsys):
    pytest.importorskip("mujoco", reason="the extra `mujoco` is not installed")
    set_seed(64)
    device = set_device()
    env = gymnasium.make("InvertedPendulum-v5")
    model = LiquidDDPG(4, 10, 1, device=device)
    model.train(env, 128, n_episodes=10, window_size=5)
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].split() == ["episode", "steps", "return", "steps/s", "policy_loss", "q_loss"]
    assert rows[-1].split()[0] == "10"
    model.save(tmp_path / "ep10", buffer=True, config=True)
    assert sorted(path.name for path in (tmp_path / "ep10").iterdir()) == [
        *("buffer_state.safetensors", "metadata.json", "model_state.safetensors"),
        *("optim_state.safetensors", "train_state.safetensors"),
    ]
    assert (tmp_path / "model_config.json").exists()
    loaded = LiquidDDPG.load(tmp_path / "ep10", buffer=True)
    assert bits(loaded.training_state) == bits(model.training_state)
    action, hidden = loaded.predict(np.zeros(4), noise_scale=0.0)
    assert action.shape == (1,)
    assert jax.tree.leaves(hidden)[0].shape == (11,)  # inter, command and motor neurons
    env.close()


@pytest.mark.parametrize("cls", [LiquidDDPG, LiquidSAC, LiquidPPO])
def test_every_preset_trains(cls):
    env = gymnasium.make("Pendulum-v1")
    model = cls(3, 6, 1, optim=optax.rmsprop, seed=0)
    model.train(env, 32, n_episodes=1, max_steps=40, callbacks=())
    assert model.algorithm.optimizer_name == "rmsprop"
    assert model.policy.action_space.high == 2.0  # that of the environment
    steps = model.algorithm.steps_taken(model.training_state)
    assert steps == (
        64 if cls is LiquidPPO else 160
    )  # two rollouts of 32; the end of the fourth episode of 40, 128 before
    env.close()


def test_sizes_are_checked():
    with pytest.raises(ValueError, match="n_neurons=0"):
        LiquidDDPG(4, 0, 1)
    with pytest.raises(ValueError, match="optimizer_name = 'adem'"):
        LiquidDDPG(4, 10, 1, optim="adem")
    with pytest.raises(ValueError, match="state_dim=4 and action_dim=1, but Pendulum-v1 has 3 and 1"):
        LiquidDDPG(4, 10, 1).train(gymnasium.make("Pendulum-v1"), 32)
