import pytest

from perdure._core import FileFormatError, dumps_json, loads_json


def test_canonical_json_is_sorted_ascii_without_spaces():
    assert dumps_json({"b": [1, 2.5, None], "a": "é"}) == b'{"a":"\\u00e9","b":[1,2.5,null]}'


def test_numbers_keep_their_kind():
    assert [type(value) for value in loads_json(b"[1, 1.0, true]")] == [int, float, bool]


@pytest.mark.parametrize("number", [2**63 - 1, 1 - 2**63, 0, -1])
def test_integers_of_64_bits_return(number):
    assert loads_json(dumps_json(number)) == number


def test_canonical_json_refuses_nan():
    with pytest.raises(ValueError, match="not JSON compliant"):
        dumps_json(float("nan"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b'{"a": 1, "a": 2}', "'a' twice"),
        (b"NaN", "NaN"),
        (b"[-Infinity]", "-Infinity"),
        (b"1e999", "too large"),
        (b"9" * 5000, "5000 characters"),
        (b"[" * 100_000 + b"]" * 100_000, "100000 deep"),
        (b'{"a":' * 400 + b"1" + b"}" * 400, "400 deep"),
        (b'"\\ud800"', "UnicodeEncodeError"),
        (b'"\xff"', "UnicodeDecodeError"),
        (b"[1] [2]", "Extra data"),
        (b"", "Expecting value"),
        (b" " * (16 * 2**20 + 1), "at most"),
    ],
)
def test_a_hostile_text_is_refused(text, complaint):
    with pytest.raises(FileFormatError, match=complaint):
        loads_json(text)


def test_brackets_in_strings_do_not_nest():
    text = b'["' + b"[" * 1000 + b'\\"]"]'
    assert loads_json(text) == ["[" * 1000 + '"]']
