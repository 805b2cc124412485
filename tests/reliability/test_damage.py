"""Whatever is changed in the files of a checkpoint or of a policy is refused, by the name of the file."""

import itertools
import json
import random
import shutil
from pathlib import Path

import pytest

from perdure._core import FileFormatError
from perdure.checkpoint import load, load_policy, read_policy_header, save_policy, verify
from perdure.checkpoint._directory import BUFFER, FILES, METADATA, MODEL, OPTIMIZER, TRAINING, write
from tests.support.reliability_kit import Tiny, copy_of, count, entry_of, marked, put, resign

pytestmark = pytest.mark.reliability


def refused(directory: Path, name: str | None = None, **more: bool) -> bool:
    """Whether loading is refused with a message that has the name of the file, and the kind of error that it must be."""
    try:
        load(directory, **more)
    except (FileFormatError, FileNotFoundError) as error:
        return str(directory) in str(error) and (name is None or name in str(error))
    return False


def flipped(content: bytes, bit: int) -> bytes:
    damaged = bytearray(content)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def test_every_bit_of_a_small_checkpoint_counts(checkpoint, figures):
    files = copy_of(checkpoint)
    cases = silent = 0
    for name, content in files.items():
        for bit in range(0, 8 * len(content), count(101, 1)):
            (checkpoint / name).write_bytes(flipped(content, bit))
            silent += not refused(checkpoint, name)
            cases += 1
        (checkpoint / name).write_bytes(content)
    figures(flips=cases, silent=silent)
    assert silent == 0
    load(checkpoint)


def test_random_bits_of_a_large_checkpoint_count(large, tmp_path, figures):
    write(tmp_path / "saved", large, config=False, force=False)
    files = copy_of(tmp_path / "saved")
    choose, cases, silent = random.Random(0), count(200, 10_000), 0
    ends = list(itertools.accumulate(len(files[name]) for name in sorted(files)))
    for case in range(cases):
        place = choose.randrange(ends[-1])
        at = next(i for i, end in enumerate(ends) if place < end)
        if case % 2:  # else nearly all are in the buffer
            at = choose.randrange(len(files))
        name = sorted(files)[at]
        with open(tmp_path / "saved" / name, "r+b") as file:
            position = choose.randrange(len(files[name]))
            file.seek(position)
            file.write(flipped(files[name][position : position + 1], choose.randrange(8)))
            file.flush()
            silent += not refused(tmp_path / "saved", name, buffer=True)
            file.seek(position)
            file.write(files[name][position : position + 1])
    figures(flips=cases, silent=silent, bytes=ends[-1])
    assert silent == 0
    load(tmp_path / "saved", buffer=True)


def test_every_length_of_a_small_checkpoint_counts(checkpoint, figures):
    files = copy_of(checkpoint)
    cases = silent = 0
    for name, content in files.items():
        others = [content + end for end in (b"\0", b" ", b"\n", content)] + [b"\0" + content]
        for other in [content[:length] for length in range(0, len(content), count(13, 1))] + others:
            (checkpoint / name).write_bytes(other)
            silent += not refused(checkpoint, name)
            cases += 1
        (checkpoint / name).write_bytes(content)
    figures(lengths=cases, silent=silent)
    assert silent == 0
    load(checkpoint)


def test_components_of_another_step_are_refused(large, tmp_path, figures):
    steps = [marked(large, 3), marked(large, 4)]
    for step, contents in enumerate(steps):
        write(tmp_path / str(step), contents, config=False, force=False)
    one, other = copy_of(tmp_path / "0"), copy_of(tmp_path / "1")
    cases = silent = 0
    for many in range(1, len(one)):
        for names in itertools.combinations(sorted(one), many):
            put(tmp_path / "mixed", {**one, **{name: other[name] for name in names}})
            wrong = [name for name in one if name not in names] if METADATA in names else names
            with pytest.raises(FileFormatError) as error:
                verify(tmp_path / "mixed")
            silent += not any(name in str(error.value) for name in wrong)
            cases += 1
    figures(swaps=cases, silent=silent)
    assert silent == 0


def test_files_that_are_missing_too_many_foreign_or_exchanged_are_refused(checkpoint, figures):
    files = copy_of(checkpoint)
    cases: list[tuple[str, dict[str, bytes]]] = []
    for name in files:
        cases.append((name, {n: c for n, c in files.items() if n != name}))
        cases.append((name, {**files, name: b""}))
        cases.append((name, {**files, name: b"\x93NUMPY" + files[name]}))
        cases += [(name, {**files, name: files[other]}) for other in files if other != name]
    for extra in (
        BUFFER,
        "x.safetensors",
        "metadata.json~",
        "METADATA.JSON",
        "model_state.safetensors.1",
        "\u202e.safetensors",
    ):
        cases.append((extra, {**files, extra: files[MODEL]}))
    silent = [name for name, changed in cases if not refused(put(checkpoint, changed), name)]
    put(checkpoint, files)
    for name in files:  # what is there by name, but is no file
        (checkpoint / name).unlink()
        (checkpoint / name).mkdir()
        silent += [] if refused(checkpoint, name) else [name]
        (checkpoint / name).rmdir()
        (checkpoint / name).symlink_to(name)  # to itself
        silent += [] if refused(checkpoint, name) else [name]
        (checkpoint / name).unlink()
        (checkpoint / name).write_bytes(files[name])
    figures(cases=len(cases) + 2 * len(files), silent=len(silent))
    assert silent == []
    load(checkpoint)


def test_files_that_the_metadata_does_not_or_need_not_name_are_refused(checkpoint):
    files = json.loads((checkpoint / METADATA).read_bytes())["files"]
    for name in (MODEL, OPTIMIZER, TRAINING):
        resign(checkpoint, {"files": {n: entry for n, entry in files.items() if n != name}})
        assert refused(checkpoint, name), name
    shutil.copy(checkpoint / MODEL, checkpoint / "more.safetensors")
    resign(checkpoint, {"files": {**files, "more.safetensors": entry_of(checkpoint / MODEL)}})
    assert refused(checkpoint, "more.safetensors")
    (checkpoint / "more.safetensors").unlink()
    resign(checkpoint, {"files": files})
    load(checkpoint)


def test_every_change_of_a_policy_file_is_refused(tmp_path, figures):
    save_policy(tmp_path / "tiny", Tiny(3))
    Tiny(3).serialize(tmp_path / "tiny")
    cases = silent = 0
    for name, read in (("tiny.safetensors", load_policy), ("tiny.eqx", Tiny.deserialize)):
        content = (tmp_path / name).read_bytes()
        changed = [flipped(content, bit) for bit in range(0, 8 * len(content), count(53, 1))]
        changed += [content[:length] for length in range(0, len(content), count(13, 1))]
        changed += [content + b"\0", content + content, b"\0" + content]
        for other in changed:
            (tmp_path / name).write_bytes(other)
            try:
                read(tmp_path / name)
                silent += 1
            except FileFormatError as error:
                silent += name not in str(error)
            cases += 1
        (tmp_path / name).write_bytes(content)
        read(tmp_path / name)
    figures(changes=cases, silent=silent)
    assert silent == 0


def test_a_policy_file_is_no_component_of_a_checkpoint_and_no_component_is_one(checkpoint, tmp_path):
    save_policy(tmp_path / "tiny", Tiny(3))
    shutil.copy(tmp_path / "tiny.safetensors", checkpoint / MODEL)
    files = json.loads((checkpoint / METADATA).read_bytes())["files"]
    resign(checkpoint, {"files": {**files, MODEL: entry_of(checkpoint / MODEL)}})
    assert refused(checkpoint, MODEL)
    for name in FILES[2:4]:
        for read in (load_policy, read_policy_header):
            with pytest.raises(FileFormatError, match=name):
                read(checkpoint / name)
