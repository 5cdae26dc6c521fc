"""Errors of pydantic and the idempotency key, as callers see them."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, Field, ValidationError, field_validator

from gateway.errors import BadInput
from gateway.web.bodies import abbreviate, field_path, read_idempotency_key, to_bad_input


class Inner(BaseModel):
    count: int = Field(ge=0)


class Outer(BaseModel):
    name: str = "x"
    inner: list[Inner] = Field(default_factory=list)

    @field_validator("name")
    @classmethod
    def _is_short(cls, name: str) -> str:
        if len(name) > 3:
            raise ValueError("must be short")
        return name


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"inner": [{"count": 1}, {}]}, "[3].inner[1].count: is missing."),
        ({"inner": [5]}, "[3].inner[0]: must be an object; got 5."),
        ({"name": "long"}, "[3].name: must be short."),
        (
            {"inner": [{"count": -1}]},
            "[3].inner[0].count: input should be greater than or equal to 0; got -1.",
        ),
    ],
)
def test_the_first_fault_is_named_with_its_path(body: object, told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(body)

    assert str(to_bad_input(caught.value, "[3]")) == told


def test_paths_are_written_as_in_code() -> None:
    assert field_path(["a", 0, "b"]) == "a[0].b"
    assert field_path([2, "a"]) == "[2].a"
    assert field_path([], "[1]") == "[1]"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (None, "null"),
        ("5", '"5"'),
        (1.5, "1.5"),
        ({"a": 1}, "an object"),
        ([1], "an array"),
        ("x" * 99, '"' + "x" * 39 + "…"),
        ("\n\ud800", '"\\n\\ud800"'),
    ],
)
def test_a_wrong_value_is_shown_short_with_its_type(value: object, text: str) -> None:
    assert abbreviate(value) == text


def test_an_idempotency_key_is_taken_as_it_is() -> None:
    assert read_idempotency_key({}) is None
    assert read_idempotency_key({"Idempotency-Key": "a b-" + "k" * 251}) == "a b-" + "k" * 251


@pytest.mark.parametrize("key", ["", "k" * 256, "a\nb", "\x00", "\udcff"])
def test_a_bad_idempotency_key_is_named(key: str) -> None:
    with pytest.raises(BadInput, match="Idempotency-Key: must be 1 to 255 printable characters"):
        read_idempotency_key({"Idempotency-Key": key})
