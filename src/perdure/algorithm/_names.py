"""Settings by name: what an unknown one was meant to be."""

import difflib
from collections.abc import Collection

# What Stable-Baselines3 and others call a setting -> what it is here, the first of them that the algorithm has.
ELSEWHERE = {
    "action_noise": ("exploration_noise",),
    "alpha": ("temperature",),
    "buffer_size": ("capacity",),
    "clip_range": ("clip",),
    "clip_range_vf": ("value_clip",),
    "ent_coef": ("entropy_weight", "temperature"),
    "exploration_final_eps": ("epsilon_end",),
    "exploration_fraction": ("exploration_timesteps",),
    "exploration_initial_eps": ("epsilon_start",),
    "gamma": ("discount",),
    "gradient_steps": ("num_updates",),
    "lr": ("learning_rate",),
    "max_grad_norm": ("max_gradient_norm",),
    "memory_size": ("capacity",),
    "n_critics": ("num_critics",),
    "n_envs": ("num_envs",),
    "n_episodes": ("num_episodes",),
    "n_epochs": ("num_epochs",),
    "n_quantiles": ("num_quantiles",),
    "n_steps": ("num_steps",),
    "optim": ("optimizer_name",),
    "optimizer": ("optimizer_name",),
    "polyak": ("tau",),
    "policy_kwargs": ("policy_settings",),
    "target_policy_noise": ("target_noise",),
    "target_update_interval": ("target_interval",),
    "top_quantiles_to_drop_per_net": ("num_dropped",),
    "train_freq": ("num_steps",),
    "vf_coef": ("value_weight",),
}


def unknown_setting(owner: str, name: str, value: object, known: Collection[str]) -> str:
    """What to say of a setting that `owner` does not have: the nearest of those that it has, and where all of them are."""
    meant = [one for one in ELSEWHERE.get(name, ()) if one in known] or difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {meant[0]}?" if meant else f" It has {', '.join(sorted(known))}."
    return f"{name}={value!r:.80}, but {owner} has no {name}.{hint}"
