"""The gradients of an imported policy are those that its authors' code takes: it trains on as it would there."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("stable_baselines3", reason="needs stable-baselines3")
pytest.importorskip("sb3_contrib", reason="needs sb3-contrib")

import torch

from perdure.importer import load_sb3
from tests.support.sb3_models import SMALL, Case, make_model, sample, saved

pytestmark = pytest.mark.filterwarnings("ignore")  # of the other libraries
GSDE = {"use_sde": True}
ROWS = 6


def model_and_policy(case, folder):
    model = make_model(case)
    return model, load_sb3(saved(model, folder))


def check_gradients(module, policy, gradient):
    """Each parameter of theirs is one of ours, or some rows of one, found by its value, and has the same gradient."""
    leaves = (jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array)) for tree in (policy, gradient))
    ours = [(np.asarray(value), np.asarray(slope)) for value, slope in zip(*leaves, strict=True)]
    theirs = [(name, x) for name, x in module.named_parameters() if x.grad is not None and x.grad.abs().max() > 0]
    for name, x in theirs:
        wanted, rows = x.detach().numpy(), len(x)
        parts = [(v[i : i + rows], s[i : i + rows]) for v, s in ours for i in range(0, len(v), rows)]
        (slope,) = [s for v, s in parts if np.array_equal(v, wanted)]
        np.testing.assert_allclose(slope, x.grad, rtol=1e-3, atol=1e-4 * float(x.grad.abs().max()), err_msg=name)
    assert sum(x.numel() for _, x in theirs) == sum(slope.size for _, slope in ours if slope.any())


@pytest.mark.parametrize("settings", [{}, GSDE], ids=["plain", "gSDE"])
@pytest.mark.parametrize("algorithm", ["SAC", "TQC"])
def test_a_soft_actor(algorithm, settings, monkeypatch, tmp_path):
    model, policy = model_and_policy(Case(algorithm, "MlpPolicy", "box", "continuous", SMALL, settings), tmp_path)
    rng = np.random.default_rng(0)
    observation, slopes = rng.normal(size=(ROWS, 5)).astype(np.float32), np.array([0.5, -2.0, 1.0], np.float32)
    noise = rng.normal(size=(8, 3) if settings else (ROWS, 3))  # gSDE: one draw for all rows
    noise = (0.3 * noise).astype(np.float32)  # theirs bounds the density of actions near their bounds
    monkeypatch.setattr(torch.distributions.normal, "_standard_normal", lambda *_, **__: torch.as_tensor(noise))
    actor = model.policy.actor
    if settings:
        actor.reset_noise()
    action, log_prob = actor.action_log_prob(torch.as_tensor(observation))
    (0.3 * log_prob.sum() + (action @ torch.as_tensor(slopes)).sum()).backward()

    def loss(policy):
        distribution = jax.vmap(lambda o: policy.distribution(None, o)[1])(observation)
        raw_action = jax.vmap(lambda d, n: d.from_noise(n), (0, None if settings else 0))(
            distribution, jnp.asarray(noise)
        )
        log_prob = jax.vmap(lambda d, u: d.log_prob(u))(distribution, raw_action)
        return 0.3 * log_prob.sum() + (policy.normalized_action(raw_action) @ slopes).sum()

    check_gradients(actor, policy, eqx.filter_grad(loss)(policy))


@pytest.mark.parametrize(
    ("algorithm", "action", "settings"),
    [
        ("PPO", "continuous", {}),
        ("A2C", "continuous", GSDE),
        ("PPO", "discrete", {}),
        ("PPO", "multidiscrete", {}),
        ("A2C", "multibinary", {}),
    ],
)
def test_an_actor_critic(algorithm, action, settings, tmp_path):
    model, policy = model_and_policy(Case(algorithm, "MlpPolicy", "box", action, SMALL, settings), tmp_path)
    env = model.get_env().envs[0]
    observation = np.random.default_rng(0).normal(size=(ROWS, 5)).astype(np.float32)
    raw_action = sample(env.action_space, ROWS)
    values, log_prob, entropy = model.policy.evaluate_actions(
        torch.as_tensor(observation), torch.as_tensor(raw_action).float()
    )
    (0.7 * log_prob + 0.2 * values[:, 0] - 1.3 * entropy).sum().backward()

    def loss(policy):
        _, value, log_prob, entropy = jax.vmap(lambda o, a: policy.evaluate_action(None, o, a))(
            observation, jnp.asarray(raw_action)
        )
        return (0.7 * log_prob + 0.2 * value - 1.3 * entropy).sum()

    check_gradients(model.policy, policy, eqx.filter_grad(loss)(policy))


@pytest.mark.parametrize(("algorithm", "action"), [("DQN", "discrete"), ("DDPG", "continuous"), ("TD3", "continuous")])
def test_values_and_deterministic_actions(algorithm, action, tmp_path):
    model, policy = model_and_policy(Case(algorithm, "MlpPolicy", "box", action, SMALL), tmp_path)
    observation = np.random.default_rng(0).normal(size=(ROWS, 5)).astype(np.float32)
    module = model.q_net if algorithm == "DQN" else model.actor
    output = module(torch.as_tensor(observation))
    slopes = np.arange(1, 1 + output.shape[1], dtype=np.float32)
    (output @ torch.as_tensor(slopes)).sum().backward()

    def loss(policy):
        answer = policy.q_values if algorithm == "DQN" else policy.actor
        return (jax.vmap(lambda o: answer(None, o)[1])(observation) @ slopes).sum()

    check_gradients(module, policy, eqx.filter_grad(loss)(policy))
