"""One record says what an export is; what exports takes the record, or its fields by keyword."""

import dataclasses
import inspect

import pytest

from perdure.export import ExportOptions, export, to_onnx
from perdure.export.program import ExportKeywords, ProgramKeywords, lower, options_of
from tests.support.export.policies import discrete

FIELDS = {field.name: field for field in dataclasses.fields(ExportOptions)}


def test_the_keywords_are_the_fields():
    assert set(ExportKeywords.__annotations__) == set(FIELDS)
    assert set(ProgramKeywords.__annotations__) < set(FIELDS)


@pytest.mark.parametrize(
    ("function", "known", "without"),
    [(export, ExportKeywords, set()), (lower, ProgramKeywords, set()), (to_onnx, ProgramKeywords, {"name"})],
)
def test_help_shows_each_keyword_with_the_default_of_the_record(function, known, without):
    shown = inspect.signature(function).parameters
    for name in set(known.__annotations__) - without:
        assert shown[name].default == FIELDS[name].default, name
    assert not [p for p in shown.values() if p.kind is inspect.Parameter.VAR_KEYWORD]


def test_a_keyword_goes_before_the_record():
    options = options_of(ExportOptions(name="a", nan_guard=False), {"name": "b"})
    assert (options.name, options.nan_guard) == ("b", False)


def test_the_record_and_the_keywords_make_the_same_program():
    one = lower(discrete(), ExportOptions(nan_guard=False, outputs=["action", "logits"][:1], name="x"))
    other = lower(discrete(), nan_guard=False, name="x")
    assert one.metadata == other.metadata
    assert str(one.graph) == str(other.graph)
    assert lower(discrete()).metadata != other.metadata


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda folder: export(discrete(), folder, nan_gard=True), "'nan_gard'. Did you mean 'nan_guard'"),
        (lambda folder: to_onnx(discrete(), num_observations=3), "'num_observations'"),
        (lambda folder: to_onnx(discrete(), name="x"), "Did you mean 'model_name'"),
        (lambda folder: lower(discrete(), key=None), "'key'"),
    ],
)
def test_a_keyword_that_has_no_meaning_there_is_refused(call, message, tmp_path):
    with pytest.raises(TypeError, match=message):
        call(tmp_path / "deploy")
    assert not (tmp_path / "deploy").exists()


@pytest.mark.parametrize("name", ["", "a/b", ".."])
def test_a_name_that_is_no_file_name_is_refused(name):
    with pytest.raises(ValueError, match="is no plain file name"):
        ExportOptions(name=name)


def test_one_output_as_text_is_told_to_be_a_list():
    with pytest.raises(ValueError, match=r"outputs is 'logits', but it is a list of names\. Give \['logits'\]"):
        ExportOptions(outputs="logits")
    assert ExportOptions(outputs=["action"]).outputs == ("action",)
