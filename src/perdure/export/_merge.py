"""An export into the folder of an earlier one: the same policy's targets are added to, another policy is refused.

Kept targets keep the golden file that they were proven with. Where the new one has its name, it gets another.
"""

import hashlib
from pathlib import Path

from perdure._core import FileFormatError, leaf_to_numpy, leaves_with_paths, write_new
from perdure.export.program import policy_fingerprint
from perdure.policy import AbstractPolicy

from ._read_manifest import Manifest, Recorded, read_listed

OPTIONS = ("signature", "nan_guard", "observation_space", "action_space")


def weights_sha256(policy: AbstractPolicy) -> str | None:
    """Of all that the policy has beside its structure, which the fingerprint is of; None for one without a fingerprint."""
    if policy_fingerprint(policy) is None:
        return None
    digest = hashlib.sha256()
    for path, leaf in leaves_with_paths(policy):
        array = leaf_to_numpy(leaf)
        digest.update(f"{path}\n{array.dtype.str}{array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def other_policy(old: Manifest, fingerprint: str | None, weights: str | None) -> str | None:
    """Why what an export holds is not known to be this policy; None if it is."""
    if any(record.weights_sha256 is None for record in old.targets.values()) or (old.targets and weights is None):
        return "of a policy that cannot be told from this one, as it is not recorded which weights it has"
    if old.fingerprint != fingerprint or any(record.weights_sha256 != weights for record in old.targets.values()):
        return "of another policy"
    return None


def not_mergeable(old: Manifest, made: Manifest) -> str | None:
    """Why a new export cannot be added to an earlier one; None if it can."""
    weights = next((record.weights_sha256 for record in made.targets.values()), None)
    if (other := other_policy(old, made.fingerprint, weights)) is not None:
        return other
    if any(old.body[name] != made.body[name] for name in OPTIONS):
        return "of this policy with other inputs, outputs or another NaN guard"
    for name, record in kept_targets(old, made).items():
        if taken := [f for f in record.files if f in made.files and made.files[f].sha256 != old.files[f].sha256]:
            return f"with the file {taken[0]!r} of the target {name!r}, which the new one would replace"
    return None


def kept_targets(old: Manifest, made: Manifest) -> dict[str, Recorded]:
    return {name: record for name, record in old.targets.items() if name not in made.targets}


def golden_name(record: Recorded, old: Manifest, made: Manifest) -> str:
    """What the golden file of a kept target is called beside the new ones."""
    digest = old.files[record.golden].sha256
    is_free = record.golden not in made.files or made.files[record.golden].sha256 == digest
    return record.golden if is_free else f"golden_{digest[:16]}.safetensors"


def merged(directory: Path, old: Manifest, made: Manifest, folder: Path) -> dict[str, object]:
    """Copy what is kept of the export in `directory` into `folder`, which holds the new one; the manifest of both.

    Raises: FileFormatError for a kept file that is missing or was changed.
    """
    targets, files = dict(as_object(made.body["targets"])), dict(as_object(made.body["files"]))
    for name, record in kept_targets(old, made).items():
        golden = golden_name(record, old, made)
        for kept, file in ((golden, record.golden), *((file, file) for file in record.files)):
            if kept not in files:
                data = read_listed(directory, file, old.files[file])
                (folder / kept).parent.mkdir(parents=True, exist_ok=True)
                write_new(folder / kept, [data])
            files[kept] = as_object(old.body["files"])[file]
        targets[name] = record.entry | {"golden": golden}
    return made.body | {"targets": targets, "files": files}


def as_object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise FileFormatError("manifest.json: targets and files have to be objects. Export the policy again.")
    return value
