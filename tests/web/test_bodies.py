"""Reading JSON: exactly or not at all, and with the field that is to blame."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.json_volume import MAX_VALUES
from gateway.errors import BadInput, TooLarge
from gateway.web.bodies import MAX_DEPTH, parse_json


def refusal(raw: bytes) -> str:
    with pytest.raises(BadInput) as caught:
        parse_json(raw)
    return str(caught.value)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(codec="utf-8")),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
        max_leaves=20,
    )
)
def test_json_is_read_exactly(body: object) -> None:
    read = parse_json(json.dumps(body).encode())

    assert json.dumps(read) == json.dumps(body)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "body: is empty; send a JSON object."),
        (b"  ", "body: is empty; send a JSON object."),
        (b"{", "body: is not valid JSON"),
        (b'{"a": NaN}', "a: must be a finite number; NaN and Infinity are not JSON."),
        (b'[{"a": [1, Infinity]}]', "[0].a[1]: must be a finite number; NaN and Infinity are not JSON."),
        (b"-Infinity", "body: must be a finite number; NaN and Infinity are not JSON."),
        (b'{"a": {"b": "\\ud800"}}', "a.b: holds half of a surrogate pair, which is not a character."),
        (b'{"a": {"\\ud800": 1}}', "a: has a key that holds half of a surrogate pair"),
        (b'{"\\ud800": {"b": NaN}}', "body: has a key that holds half of a surrogate pair"),
        (b"[18446744073709551616]", "[0]: is an integer of more than 64 bits; send it as a string."),
        (b"[-9223372036854775809]", "[0]: is an integer of more than 64 bits; send it as a string."),
        (b"[" + b"9" * 400 + b"]", "[0]: is an integer of more than 64 bits; send it as a string."),
        (b"[" + b"9" * 5000 + b"]", "body: is not valid JSON"),
    ],
)
def test_what_is_wrong_is_named(raw: bytes, told: str) -> None:
    assert refusal(raw).startswith(told)


@pytest.mark.parametrize("raw", [b"[1.5e300]", b'["99999999999999999999"]', b"[0.12345678901234567890123]"])
def test_long_numbers_that_are_no_integers_are_taken(raw: bytes) -> None:
    assert parse_json(raw) == json.loads(raw)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nesting_is_taken_to_its_limit_and_no_deeper(opening: str, closing: str) -> None:
    def nested(depth: int) -> bytes:
        return (opening * depth + "1" + closing * depth).encode()

    assert json.loads(nested(MAX_DEPTH)) == parse_json(nested(MAX_DEPTH))
    for depth in (MAX_DEPTH + 1, 1000, 10_000, 100_000):
        assert "is nested more than 64 levels deep" in refusal(nested(depth))


def test_the_field_that_is_nested_too_deeply_is_named_and_not_its_whole_path() -> None:
    deep = '{"a": {"b": {"c":' + "[" * 70 + "]" * 70 + "}}}"

    assert refusal(f'{{"ok": [[]], "x": {deep}}}'.encode()).startswith("x.a: ")
    assert refusal(f"[{{}}, {deep}]".encode()).startswith("[1].a: ")


def test_a_long_key_is_not_shown_whole() -> None:
    assert len(refusal(f'{{"{"k" * 100_000}": NaN}}'.encode())) < 200


def test_a_body_of_more_values_than_fit_into_memory_is_refused_before_it_is_read() -> None:
    with pytest.raises(TooLarge, match="holds more than"):
        parse_json(b"[" + b"[]," * MAX_VALUES + b"[]]")


@pytest.mark.parametrize("entry", [b'{"a": {"b": [{}, "]}"]}}', b' {"a": "\\"[{"} \n'])
def test_an_array_of_far_too_many_entries_is_refused_before_they_are_decoded(entry: bytes) -> None:
    many = b" [" + entry + b"," + b",".join([entry] * 2_000) + b"], this is no JSON"
    with pytest.raises(BadInput, match="1 to 100 entries; got more"):
        parse_json(many, 100)


@pytest.mark.parametrize(
    "raw",
    [
        orjson.dumps([{"a": [{}] * 1_000}] * 100),
        orjson.dumps({"a": [{}] * 1_000}),
        orjson.dumps(["{" * 1_000] * 100),
    ],
)
def test_many_objects_in_few_entries_are_taken(raw: bytes) -> None:
    assert parse_json(raw, 100) == orjson.loads(raw)


def test_what_is_no_array_after_all_is_explained_as_ever() -> None:
    with pytest.raises(BadInput, match="is not valid JSON"):
        parse_json(b"[" + b"{}," * 50 + b"x" + b"{}," * 800, 100)
    with pytest.raises(BadInput, match="nested more than 64 levels"):
        parse_json(b"[" + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"]", 100)
