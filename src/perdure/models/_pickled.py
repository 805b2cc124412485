"""What agents are in a pickle: the files of a checkpoint by name, and a policy that is there already."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from perdure.checkpoint import Checkpoint, load
from perdure.env import AbstractEnv
from perdure.policy import AbstractPolicy, HasSpaces


class Given:
    """One policy, for whatever environment. A closure could not be pickled."""

    def __init__(self, policy: AbstractPolicy):
        self.policy = policy

    def __call__(self, env: HasSpaces | None) -> AbstractPolicy:
        return self.policy


def files_of(save: Callable[[Path], None]) -> dict[str, bytes]:
    """The content of each file of the checkpoint that `save` puts at the path it is given."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "agent"
        save(path)
        return {file.name: file.read_bytes() for file in path.iterdir()}


def load_files(files: Mapping[str, bytes], *, buffer: bool, env: AbstractEnv | None) -> Checkpoint:
    """The inverse of `files_of`. Raises: as `perdure.checkpoint.load`."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / Path(name).name).write_bytes(content)  # nothing outside the folder, whatever the name
        return load(folder, buffer=buffer, env=env)
