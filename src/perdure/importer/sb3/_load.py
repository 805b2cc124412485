"""A zip of Stable-Baselines3 or sb3-contrib as a policy of ours.

The members that are read: `data` (settings), `policy.pth` (weights), `_stable_baselines3_version`. Optimisers, schedules
and buffers stay behind. Nothing that the file names is imported or called.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from perdure._core import FileFormatError
from perdure.space import AbstractSpace, Box

from .._activations import activation_of
from .._pickle import Global
from .._registry import importer, loader
from .._report import ImportedPolicy, imported, naming
from .._tensors import Tensors
from .._torch import read_tensors
from .._values import name_of
from .._yaml import read_yaml
from .._zip import SafeZip
from ._beside import neighbours_of, notes_of
from ._config import environment_notes, wants_statistics
from ._data import Fields
from ._families import Family, algorithm_of, family_of
from ._open import open_model
from ._sbx import Weights, is_sbx, read_weights
from ._source import Custom, Source
from ._spaces import SavedSpace, read_space
from ._vecnormalize import CLASS, ObservationNormalization, read_vecnormalize

_VERSION = "_stable_baselines3_version"
_USED = {"data", "policy.pth", _VERSION, "system_info.txt"}
_STATE = {  # fields of a training, by what they are called in the report
    "schedules": ("lr_schedule", "clip_range", "clip_range_vf", "exploration_schedule", "delta_std_schedule"),
    "the last observation and episode statistics": ("_last_obs", "ep_info_buffer", "ep_success_buffer"),
    "action noise": ("action_noise",),
}


def _action_space(saved: SavedSpace, notes: list[str]) -> AbstractSpace:
    """Raises: FileFormatError for a Dict."""
    if saved.is_dict:
        raise FileFormatError("action_space is a Dict, which no algorithm of Stable-Baselines3 takes.")
    space = saved.parts[0][1]
    if isinstance(space, Box) and space.dtype.kind != "f":
        notes.append(
            f"actions are numbers with a fraction, as Stable-Baselines3 gives them, though the space is {space}"
        )
        return Box(space.low.astype(np.float32), space.high.astype(np.float32))
    return space


def _observation(
    saved: SavedSpace, normalization: ObservationNormalization | None, is_her: bool
) -> tuple[SavedSpace, tuple[str, ...]]:
    """The observation, and its keys that the networks do not take.

    The HER class before SB3 1.1 gave its model `observation` and `desired_goal` as one vector, while the statistics are of
    the environment's Dict; with them the policy takes that Dict.

    Raises: FileFormatError if the statistics are of another kind of space, or of keys that are not there.
    """
    if normalization is None:
        return saved, ()
    if saved.is_dict == normalization.space.is_dict:
        unknown = sorted(normalization.statistics.keys() - dict(saved.parts).keys())
        if unknown:
            raise FileFormatError(
                f"VecNormalize has statistics for {unknown[0][:80]!r}, but the model observes "
                f"{', '.join(name for name, _ in saved.parts)[:200]}. Is it the file of another model?"
            )
        return saved, ()
    members = dict(normalization.space.parts)
    read = ("observation", "desired_goal")
    if is_her and not saved.is_dict and set(read) <= members.keys():
        size = sum(members[name].flat_size for name in read)
        if size == saved.parts[0][1].flat_size:
            unread = tuple(name for name in members if name not in read)
            return SavedSpace(tuple((name, members[name]) for name in (*read, *unread)), True, saved.notes), unread
    kinds = ["a Dict" if is_dict else "no Dict" for is_dict in (saved.is_dict, normalization.space.is_dict)]
    raise FileFormatError(f"the model observes {kinds[0]}, but VecNormalize is of {kinds[1]}. Is it another model's?")


def _source(
    archive: SafeZip, normalization: ObservationNormalization | None, channels_first: bool, custom: Mapping[str, object]
) -> tuple[Source, Family, str]:
    """The content of the zip, how to build it, and the name of its policy class."""
    fields = Fields(archive.read("data"))
    path = fields.class_name("policy_class")
    family = family_of(path, custom)
    from_sbx = is_sbx(family.module)
    settings = {"normalize_images": False} if from_sbx else fields.mapping("policy_kwargs")
    saved = read_space(fields.get("observation_space"), "observation_space")
    observation, unread = _observation(saved, normalization, "model_class" in fields)
    saved_action = read_space(fields.get("action_space"), "action_space")
    notes, dropped = [*observation.notes, *saved_action.notes], _left_behind(archive, fields)
    if "model_class" in fields and not observation.is_dict:
        notes.append("the HER class gave its model observation and desired_goal as one vector, which the policy takes")
    uses_sde = bool(fields.get("use_sde") or settings.get("use_sde"))
    if from_sbx:
        weights = read_weights(family.module, path, fields, observation)
        dropped += ["critics, targets and optimisers"] + ["gSDE"] * uses_sde
    else:
        content, packed_size = archive.read("policy.pth"), archive.packed_size("policy.pth")
        weights = Weights(read_tensors(content, packed_size=packed_size), settings.get("activation_fn"))
    extractor = settings.get("features_extractor_class")
    source = Source(
        algorithm=algorithm_of(family, fields),
        fields=fields,
        settings=settings,
        tensors=Tensors(weights.tensors, "policy.pth", "Was it made by a class of your own? Map it with custom=."),
        observation=observation,
        unread=unread,
        action_space=_action_space(saved_action, notes),
        extractor=family.extractor if extractor is None else name_of(extractor),
        activation=activation_of(weights.activation or Global("torch.nn", family.activation), custom),
        normalization=normalization,
        channels_first=channels_first,
        uses_sde=uses_sde and not from_sbx,
        custom=custom,
        dropped=dropped,
        notes=notes,
    )
    return source, family, path


def _left_behind(archive: SafeZip, fields: Fields) -> list[str]:
    members = sorted(name for name in archive.names if name not in _USED and not name.endswith("/"))
    present = [label for label, names in _STATE.items() if any(map(fields.is_set, names))]
    return [*([", ".join(members)] if members else []), *present]


def _normalization_text(normalization: ObservationNormalization | None, not_taken: list[str]) -> str:
    if normalization is None:
        return f"none; {', '.join(not_taken)} beside it was not taken in" if not_taken else "none"
    keys = ", ".join(name for name in normalization.statistics if name)
    return f"VecNormalize{f' of {keys}' if keys else ''}, clipped to {normalization.clip:g}, as constants of the policy"


@importer(
    "sb3",
    "a zip file of Stable-Baselines3, sb3-contrib or SBX",
    vecnormalize="statistics that VecNormalize saved, a pickle; they become part of the policy.",
    config="config.yml of rl-baselines3-zoo, which tells what the environment has to do.",
    channels_first="images come as channels, height, width; else as height, width, channels.",
)
def read_sb3(
    path: str | Path,
    *,
    vecnormalize: str | Path | None = None,
    config: str | Path | None = None,
    custom: Custom | None = None,
    channels_first: bool = False,
) -> ImportedPolicy:
    """A model of Stable-Baselines3 or sb3-contrib as an ordinary policy that answers as its `predict` does.

    Without torch, SB3 or gym, and without unpickling: nothing that the file names is imported or called. A2C, PPO, TRPO,
    DQN, QR-DQN, DDPG, TD3, SAC, TQC, CrossQ, ARS, RecurrentPPO and MaskablePPO, from SB3 0.8 on.

    `vecnormalize` is the pickle of VecNormalize's statistics, which become part of the policy. `config` is the config.yml
    of rl-baselines3-zoo, which tells of frame stacks and wrappers; what it asks of the user is noted.
    Where these lie beside the zip and are not given, the notes say so.
    Images are taken as the environment gives them: height, width, channels, or with `channels_first` the other way.
    `custom` maps dotted names of classes of your own: a policy class, or a subclass of VecNormalize, to the name of the one
    it acts like; an activation to a function; a features extractor to `function(weights, observation_space, settings)` that
    gives a module.

    Raises: FileFormatError (a ValueError) naming the file and what in it is unknown, damaged or unsafe; FileNotFoundError.
    """
    custom = custom or {}
    same = tuple(name for name, alike in custom.items() if isinstance(alike, str) and alike == CLASS)
    normalization = None if vecnormalize is None else read_vecnormalize(vecnormalize, same)
    settings = {} if config is None else read_yaml(config)
    with naming(path, ValueError):  # of a space or policy that cannot be
        archive = open_model(Path(path))
        source, family, source_class = _source(archive, normalization, channels_first, custom)
        policy = family.build(source)
        version = archive.read(_VERSION).decode("ascii", "replace").strip()[:40] if _VERSION in archive.names else None
    source.notes.extend(environment_notes(settings))
    if wants_statistics(settings) and vecnormalize is None:
        source.notes.append(
            f"{Path(config or '').name} says that observations were normalised, but vecnormalize= was not given: "
            "the policy will act wrongly on raw observations"
        )
    beside = neighbours_of(Path(path))
    source.notes.extend(notes_of(beside, has_statistics=vecnormalize is not None, has_config=config is not None))
    return imported(
        policy,
        file=path,
        library=f"{'SBX with ' if is_sbx(family.module) else ''}Stable-Baselines3 {version or 'before 0.9'}",
        algorithm=source.algorithm,
        source_class=source_class,
        normalization=_normalization_text(normalization, beside.statistics),
        dropped=source.dropped,
        notes=source.notes,
    )


load_sb3 = loader(read_sb3)
