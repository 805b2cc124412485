"""Policies on the Hugging Face Hub (https://huggingface.co/docs/hub, extra `hub`): a policy file and the card about it."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from perdure._core import atomic_write, import_extra

from ._policy_file import load_policy, read_policy_header, save_policy

POLICY_FILE = "policy.safetensors"
_CARD = """
# {name} on {environment}

A policy trained with {algorithm}, saved with [Perdure](https://pypi.org/project/perdure/) {perdure}. The file holds all of it:
normalisation, network, and how its output becomes an action.

| | |
|---|---|
{rows}

## Use

```python
from perdure.checkpoint import load_from_hub

policy = load_from_hub("{repo_id}", revision="{revision}")
state = policy.reset(key=jax.random.key(0))
state, action = policy(state, observation)
```

`revision` pins the very file that this card describes. Loading runs no code from it. The policy was evaluated in simulation
only; do not run it on hardware before you have validated it there.
"""


class Pushed(NamedTuple):
    """Where a policy is now."""

    url: str
    revision: str  # the commit that has the policy file; give it to `load_from_hub`


def push_to_hub(
    policy: Any,
    repo_id: str,
    *,
    metadata: Mapping[str, Any] | None = None,
    private: bool = False,
    token: str | None = None,
    branch: str = "main",
    endpoint: str | None = None,
) -> Pushed:
    """Put a policy on the Hub, with a model card: spaces, training, returns, and the lines that load it.

    Args:
        policy: A policy, or the path of a policy file, whose metadata are those of the card then.
        repo_id: "user/name"; made if it is not there.
        metadata: With a policy, for the file and the card: `environment`, `algorithm`, `steps`, `seed`, and `evaluation`, the
            `_asdict()` of what `perdure.evaluation.summarize` gives.
        private: Make a new repository private.
        token: Of the Hub; by default that of `hf auth login`.
        branch: To commit to.
        endpoint: Of another Hub than https://huggingface.co.

    Raises: MissingExtraError without huggingface_hub, ConnectionError if the Hub cannot be reached, what it raises for a name
    or token that it refuses; what loading or saving the policy raises.
    """
    hub = import_extra("huggingface_hub", "hub")
    api = hub.HfApi(endpoint=endpoint, token=token)
    with tempfile.TemporaryDirectory() as folder, reaching(endpoint):
        path = Path(policy) if isinstance(policy, str | Path) else Path(folder) / POLICY_FILE
        if isinstance(policy, str | Path):
            if metadata is not None:
                raise ValueError("metadata is for a policy; a policy file has its own. Leave it out.")
            load_policy(path)  # a damaged file is not published
        else:
            save_policy(path, policy, metadata=metadata)
        api.create_repo(repo_id, private=private, exist_ok=True)
        place = {"repo_id": repo_id, "revision": branch}
        pushed = api.upload_file(
            path_or_fileobj=path, path_in_repo=POLICY_FILE, commit_message="Add the policy", **place
        )
        card = Path(folder) / "README.md"
        atomic_write(card, model_card(path, repo_id, pushed.oid).encode())
        api.upload_file(path_or_fileobj=card, path_in_repo=card.name, commit_message="Describe the policy", **place)
    return Pushed(f"{api.endpoint}/{repo_id}", pushed.oid)


def model_card(path: Path, repo_id: str, revision: str) -> str:
    """The card of a policy file, as Markdown with the Hub's metadata."""
    hub = import_extra("huggingface_hub", "hub")
    header = read_policy_header(path)
    policy, said = load_policy(path), header.metadata
    environment, algorithm = str(said.get("environment", "an environment")), str(said.get("algorithm", "an algorithm"))
    evaluation = said.get("evaluation")
    results = None
    rows = {"environment": environment, "algorithm": algorithm}
    if isinstance(evaluation, Mapping) and {"mean", "std", "episodes"} <= evaluation.keys():
        score = f"{evaluation['mean']:.2f} +/- {evaluation['std']:.2f}"
        rows["mean return"] = f"{score} over {evaluation['episodes']} episodes, deterministic actions"
        result = {"task_type": "reinforcement-learning", "task_name": "reinforcement-learning"}
        named = {"dataset_type": environment, "dataset_name": environment, "metric_type": "mean_reward"}
        results = [hub.EvalResult(**result, **named, metric_name="mean_reward", metric_value=score)]
    rows |= {name: str(said[name]) for name in ("steps", "seed") if name in said}
    rows |= {"observation space": str(policy.observation_space), "action space": str(policy.action_space)}
    rows |= {"fingerprint": header.fingerprint, "digest": header.digest, "jax": header.jax_version}
    tags = ["reinforcement-learning", "deep-reinforcement-learning", environment, "perdure"]
    data = hub.ModelCardData(
        library_name="perdure", tags=tags, model_name=f"{policy.name} on {environment}", eval_results=results
    )
    text = _CARD.format(
        name=policy.name,
        environment=environment,
        algorithm=algorithm,
        perdure=header.perdure_version,
        repo_id=repo_id,
        revision=revision,
        rows="\n".join(f"| {name} | {value} |" for name, value in rows.items()),
    )
    return f"---\n{data.to_yaml()}\n---\n{text}"


def load_from_hub(
    repo_id: str,
    *,
    revision: str | None = None,
    filename: str = POLICY_FILE,
    token: str | None = None,
    endpoint: str | None = None,
) -> Any:
    """The policy of a repository on the Hub; what was downloaded once is not again.

    `revision` is a commit, which pins the file to the bit, or a branch or tag; by default the newest commit of the main branch.

    Raises: MissingExtraError without huggingface_hub, ConnectionError if the Hub cannot be reached and the file is not in the
    cache, what huggingface_hub raises for a repository, revision or file that is not there, what `load_policy` raises.
    """
    hub = import_extra("huggingface_hub", "hub")
    with reaching(endpoint):
        place = {"repo_id": repo_id, "filename": filename, "revision": revision}
        path = hub.hf_hub_download(**place, token=token, endpoint=endpoint)
    return load_policy(path)


@contextmanager
def reaching(endpoint: str | None) -> Iterator[None]:
    """Raises: ConnectionError with what to do, where the Hub cannot be reached."""
    errors = import_extra("huggingface_hub.errors", "hub")
    try:
        yield
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, ConnectionError) as error:
        place = endpoint or import_extra("huggingface_hub.constants", "hub").ENDPOINT
        raise ConnectionError(
            f"The Hub at {place} cannot be reached, and what is wanted of it is not in the cache here. Check the network and "
            f"HF_HUB_OFFLINE, or take the file there by hand and use perdure.checkpoint.load_policy. ({error})"
        ) from error
