"""Members of a JSON object are edited, and all other bytes stay."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.json_members import edit_members

BODY = b' {"model": "x",\n  "n":1.00, "big": 12345678901234567890123, "m":[{"model":"y"}], "model" : "z" }\n'


@pytest.mark.parametrize(
    ("edits", "edited"),
    [
        ({}, BODY),
        ({"defaults": {"n": 2}}, BODY),
        ({"overrides": {"model": "q"}}, BODY.replace(b'"z"', b'"q"')),
        ({"overrides": {"n": 2, "t": [1]}}, BODY.replace(b"1.00", b"2").replace(b'"z"', b'"z","t":[1]')),
        ({"dropped": ["n", "big", "m", "absent"]}, b' {"model": "x","model" : "z"}\n'),
        ({"overrides": {"n": 2}, "dropped": ["n", "big", "m"]}, b' {"model": "x","model" : "z"}\n'),
        ({"defaults": {"k": 1}, "overrides": {"k": 2}}, BODY.replace(b'"z"', b'"z","k":2')),
    ],
)
def test_other_bytes_stay_as_they_were(edits: dict[str, Any], edited: bytes) -> None:
    assert edit_members(BODY, **edits) == edited


@pytest.mark.parametrize("body", [b"", b"[1]", b"no JSON", b'"text"'])
def test_what_is_no_object_is_left_alone(body: bytes) -> None:
    assert edit_members(body, overrides={"a": 1}, dropped=["b"]) == body


LETTERS = 'ab{}[],:"\\ é'
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(LETTERS, max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(LETTERS, max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from(["a", "b", 'q"x', "{", "c,d"]), VALUES, max_size=5)


@given(
    OBJECTS,
    OBJECTS,
    OBJECTS,
    st.lists(st.sampled_from(["a", 'q"x', "{"]), max_size=2),
    st.sampled_from([None, 2]),
)
def test_edits_mean_the_same_as_on_the_parsed_object(
    body: dict[str, Any],
    defaults: dict[str, Any],
    overrides: dict[str, Any],
    dropped: list[str],
    indent: int | None,
) -> None:
    edited = edit_members(
        json.dumps(body, indent=indent).encode(), defaults=defaults, overrides=overrides, dropped=dropped
    )
    expected = {key: value for key, value in {**defaults, **body, **overrides}.items() if key not in dropped}
    assert json.loads(edited) == expected
