"""`perdure export --help`: the flags are the fields of the record, but for what only a program can give."""

import dataclasses
import sys

import pytest

from perdure.cli import main
from perdure.export import ExportOptions

OF_A_PROGRAM = {"observations", "key"}


def test_the_flags_are_the_fields_of_the_record(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["perdure", "export", "--help"])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        main()
    shown = capsys.readouterr().out
    for field in dataclasses.fields(ExportOptions):
        flag = f"--{field.name.replace('_', '-')}"
        assert (f"{flag} " in shown or f"{flag}," in shown) == (field.name not in OF_A_PROGRAM), flag
    assert "Answer a broken observation by -1 (choices) or NaN (numbers)" in " ".join(shown.split())
