"""Writes `files/velora_*/` with the real Velora, and in each what it answers: `python make_velora.py`.

Run it once with velora 0.1.1 and once with 0.2.0; both need torch, and array-api-compat, which they do not ask for.
"""

import importlib.metadata
import shutil
from pathlib import Path

import numpy as np
import torch

FILES = Path(__file__).parent / "files"
STEPS, COUNT = 5, 6


def save(agent, actor, name, state_dim):
    """The agent's folder without its optimiser, and its answers to `COUNT` sequences."""
    with torch.no_grad():
        for tensor in actor.parameters():
            tensor.mul_(4)  # so that the memory matters
    folder = FILES / f"velora_{name}"
    shutil.rmtree(folder, ignore_errors=True)
    agent.save(folder)
    (folder / "optim_state.safetensors").unlink()
    observations = torch.randn(STEPS, COUNT, state_dim) * 2
    hidden, actions, memories = None, [], []
    for observation in observations:
        settings = {"noise_scale": 0} if name == "ddpg" else {}
        action, hidden = agent.predict(observation, hidden, **settings)
        actions.append(action.numpy().reshape(COUNT, -1) if action.ndim > 1 else action.numpy())
        memories.append(hidden.numpy())
    arrays = {"observation": observations.numpy(), "action": np.stack(actions), "hidden": np.stack(memories)}
    np.savez(folder / "golden.npz", **arrays)


def main():
    torch.manual_seed(0)
    np.random.seed(0)
    FILES.mkdir(exist_ok=True)
    if importlib.metadata.version("velora").startswith("0.1"):
        from velora.models import LiquidDDPG

        agent = LiquidDDPG(4, 10, 2, buffer_size=10)
        save(agent, agent.actor, "ddpg", 4)
        return
    from velora.models import NeuroFlow, NeuroFlowCT

    agent = NeuroFlowCT("Pendulum-v1", 10, 12, buffer_size=10, seed=1)
    save(agent, agent.actor.network, "flow_ct", 3)
    agent = NeuroFlow("CartPole-v1", 7, 12, buffer_size=10, seed=1)
    save(agent, agent.actor.network, "flow", 4)


if __name__ == "__main__":
    main()
