"""Fields of log rows exported by other gateways, checked and converted to our units."""

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Annotated, TypeVar

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from gateway.errors import BadInput
from gateway.models.clock import to_us
from gateway.models.ids import content_id
from gateway.models.request import NANOUSD_PER_USD
from gateway.web.bodies import abbreviate, parse_id, to_bad_input

_END_US = to_us(datetime(3000, 1, 1))
_INVALID_TIME = datetime.min
_ORIGIN = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")


def _time_us(value: object) -> int:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else _INVALID_TIME
    except ValueError:
        at = _INVALID_TIME
    at_us = to_us(at)
    if not 0 <= at_us < _END_US:
        raise ValueError(f"must be a time such as 2026-01-31T09:30:00.123Z; got {abbreviate(value)}")
    return at_us


def parse_json(value: object) -> object:
    """Return what a text of JSON holds; other texts and values as they are."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value


def _read_object(value: object) -> dict[str, object]:
    found = parse_json(value)
    if isinstance(found, dict):
        return found
    raise ValueError(f"must be an object, or a string that holds one as JSON; got {abbreviate(value)}")


def _read_counts(value: object) -> dict[str, object]:
    # A column of objects has all names in each row.
    return {name: count for name, count in _read_object(value).items() if count is not None}


def _read_texts(value: object) -> list[str]:
    found = parse_json(value)
    if isinstance(found, list) and all(isinstance(text, str) for text in found):
        return found
    raise ValueError(
        f"must be an array of texts, or a string that holds one as JSON; got {abbreviate(value)}"
    )


# ISO 8601 as microseconds since the epoch; UTC without a zone.
TimeUs = Annotated[int, BeforeValidator(_time_us)]
Millis = Annotated[float, Field(ge=0, le=10**10)]
Count = Annotated[int, Field(ge=0, le=10**12)]
# Money.
Amount = Annotated[Decimal, Field(ge=0, le=10**9)]
Id = Annotated[str, BeforeValidator(parse_id)]
Status = Annotated[int, Field(ge=-999, le=999)]
# Tables hold these as text.
Json = Annotated[object, BeforeValidator(parse_json)]
Object = Annotated[dict[str, object], BeforeValidator(_read_object)]
Texts = Annotated[list[str], BeforeValidator(_read_texts)]
Counts = Annotated[dict[str, Annotated[float, Field(ge=0, le=10**12)]], BeforeValidator(_read_counts)]


class ImportedRow(BaseModel):
    """Base of a dialect's rows. Numbers may be text; unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


RowModel = TypeVar("RowModel", bound=ImportedRow)


def read_row(model: type[RowModel], row: Mapping[str, object], at: str = "") -> RowModel:
    """Return a row as a model; null and empty fields are absent. Raises BadInput with the path `at`."""
    given = {name: value for name, value in row.items() if value is not None and value != ""}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise to_bad_input(error, at) from None


def row_id(row: Mapping[str, object]) -> str:
    return content_id(encode_json(row, "row", orjson.OPT_SORT_KEYS))


def body_bytes(value: object, field: str) -> bytes:
    if value is None:
        return b""
    return value.encode() if isinstance(value, str) else encode_json(value, field)


def path_of_url(url: str) -> str:
    return _ORIGIN.sub("", url)


def total_of(counts: Mapping[str, float], *prefixes: str) -> int | None:
    """Return the sum of counts whose names begin with one of `prefixes`; None without any."""
    found = [count for name, count in counts.items() if name.startswith(prefixes)]
    return round(sum(found)) if found else None


def to_nanousd(amount: Decimal, *, dollars: Decimal) -> int:
    return int((amount * dollars * NANOUSD_PER_USD).to_integral_value(ROUND_HALF_EVEN))


def encode_json(value: object, field: str, option: int = 0) -> bytes:
    try:
        return orjson.dumps(value, option=option)
    except orjson.JSONEncodeError:
        raise BadInput("is nested too deeply to be kept.", field=field) from None
