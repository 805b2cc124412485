"""What files are made of does not change unnoticed: a class takes a step of its history with it when its fields change."""

import pytest

from tests.golden.make_schema import FILE, recorded
from tests.support import schema

schema.import_everything()
RECORDED = recorded()
RECORD = "then record it: python -m tests.golden.make_schema"


@pytest.mark.parametrize("name", sorted(RECORDED["classes"]))
def test_a_class_has_the_fields_that_were_recorded_for_its_version(name):
    versions = RECORDED["classes"][name]
    found = schema.classes().get(name)
    if found is None:
        assert name in schema.retired(), (
            f"no class is registered as {name!r} any more, but files hold it. Say what became of it, beside the class that took "
            f'its place: retired("{name}", became("NewName")), or give that class the name: @register(name="{name}").'
        )
        return
    version, fields = found
    latest = max(map(int, versions))
    assert version >= latest, (
        f"{name} is of version {version}, but version {latest} was recorded. Upgrades are never taken away."
    )
    assert str(version) in versions, f"version {version} of {name} is new. Keep a file of version {latest}, {RECORD}"
    assert " ".join(fields) == versions[str(version)], (
        f"the fields of {name} are {fields}, but files of its version {version} have {versions[str(version)].split()} "
        "(* is static). Say what files of before mean, as one more upgrade: @register(upgrades=[..., added(field=value)]), or "
        f"removed, renamed, reordered, learned, changed, became of perdure._core, or a function of your own; {RECORD}"
    )


def test_every_class_is_recorded():
    new = sorted(schema.classes().keys() - RECORDED["classes"].keys())
    assert not new, f"{new} are new in files. Keep a file with each under tests/golden, {RECORD}"


def test_files_of_every_class_and_version_are_kept():
    """They load: see tests/checkpoint/test_old_files.py and what else reads tests/golden."""
    kept = schema.in_files(FILE.parent)
    wanted = {(name, int(version)) for name, versions in RECORDED["classes"].items() for version in versions}
    wanted |= {(name, 1) for name in RECORDED["retired"]}
    missing = sorted(one for one in wanted - kept if not one[0].startswith("eqx.nn."))  # these are Equinox's
    assert not missing, f"no file under tests/golden has these classes in these versions: {missing}"


def test_nothing_that_is_retired_is_taken_away_and_all_is_recorded():
    assert schema.retired().items() >= RECORDED["retired"].items(), "a retired name or one of its steps is missing."
    assert schema.retired() == RECORDED["retired"], f"a name is retired anew, {RECORD}"


def test_functions_keep_their_names():
    missing = sorted({*RECORDED["functions"]} - {*schema.functions()})
    assert not missing, (
        f"files name the functions {missing}, which are registered no more. Register them under these names."
    )
    assert schema.functions() == RECORDED["functions"], f"a function is registered anew, {RECORD}"


def test_operators_keep_their_meaning():
    today = {name: " ".join(attributes) for name, attributes in schema.operators().items()}
    for name, attributes in RECORDED["operators"].items():
        assert today.get(name) == attributes, (
            f"the operator {name} has the attributes {today.get(name)}, files have {attributes!r}. What one means never changes: "
            "a different meaning is another name."
        )
    assert today == RECORDED["operators"], f"an operator is new, {RECORD}"


def test_formats_are_recorded():
    assert schema.formats() == RECORDED["formats"], (
        "a format of files changed. Read the old one too, keep a file of each under tests/golden, " + RECORD
    )
