"""What APIs that take feedback share: arrays of entries, types of fields, and the header on joined entries."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeGuard
from uuid import UUID

import orjson
from pydantic import BeforeValidator, Field

from gateway.errors import BadInput
from gateway.models.feedback import Feedback
from gateway.models.ids import MAX_ID_BYTES
from gateway.web.bodies import abbreviate, parse_id, parse_json

# Most entries in one call.
MAX_BULK = 1000
# Longest metadata of an entry, as JSON.
MAX_METADATA_BYTES = 64 * 1024

# How many entries of a call are joined to something logged, such as `1 of 1`.
JOINED_HEADER = "x-gateway-feedback-joined"


def list_entries(body: object) -> list[tuple[str, object]]:
    if not isinstance(body, list):
        return [("", body)]
    if not 1 <= len(body) <= MAX_BULK:
        raise BadInput(f"must be an array of 1 to {MAX_BULK:,} entries; got {len(body):,}.", field="body")
    return [(f"[{index}]", entry) for index, entry in enumerate(body)]


def joined_headers(entries: Sequence[Feedback]) -> dict[str, str]:
    joined = sum(entry.joined_at_us is not None for entry in entries)
    return {JOINED_HEADER: f"{joined} of {len(entries)}"}


def parse_uuid(value: object) -> str:
    """Return a UUID in canonical form (RFC 9562, section 4). Raises ValueError."""
    try:
        if isinstance(value, str) and str(UUID(value)) == value.lower():
            return value.lower()
    except ValueError:
        pass
    raise ValueError(f"must be a UUID; got {abbreviate(value)}")


# These checks are stricter than pydantic's types, which take numbers as text, and their errors show the value.
def _grade(value: object) -> int:
    if is_number(value) and value in range(-10, 11):
        return int(value)
    raise ValueError(f"must be an integer from -10 to 10; got {abbreviate(value)}")


def number_from(least: int, most: int) -> Callable[[object], float]:
    def check(value: object) -> float:
        if is_number(value) and least <= value <= most:
            return float(value)
        raise ValueError(f"must be a number from {least} to {most}; got {abbreviate(value)}")

    return check


def is_number(value: object) -> TypeGuard[int | float]:
    """Tell numbers from booleans, which Python counts as integers."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: object) -> str | None:
    if isinstance(value, str) and "\0" not in value:
        return value or None
    raise ValueError(f"must be a string without the character U+0000; got {abbreviate(value)}")


def _metadata(value: object) -> dict[str, object]:
    found = _parse_json_string(value) if isinstance(value, str) else value
    if not isinstance(found, dict):
        raise ValueError(f"must be an object, or a string that holds one as JSON; got {abbreviate(value)}")
    size = len(orjson.dumps(found))
    if size > MAX_METADATA_BYTES:
        raise ValueError(f"may be {MAX_METADATA_BYTES:,} bytes long as JSON; got {size:,}")
    if has_nul(found):
        raise ValueError("must not hold the character U+0000, neither in keys nor in strings")
    return found


def _parse_json_string(text: str) -> object:
    try:
        return parse_json(text.encode())
    except BadInput as error:
        problem = str(error).removesuffix(".")
        raise ValueError(f"is a string that holds no JSON object; in it, {problem}") from None


def has_nul(value: object) -> bool:
    """Tell whether any text contains U+0000, which PostgreSQL cannot store."""
    if isinstance(value, dict):
        return any("\0" in key or has_nul(item) for key, item in value.items())
    if isinstance(value, list):
        return any(map(has_nul, value))
    return isinstance(value, str) and "\0" in value


def optional_field(check: Callable[[object], object], accepts: Any) -> BeforeValidator:
    """Return the check of a field that may be null, and of type `accepts` in OpenAPI."""
    return BeforeValidator(
        lambda value: None if value is None else check(value), json_schema_input_type=accepts | None
    )


_GradeRange = Annotated[int, Field(ge=-10, le=10)]
_WeightRange = Annotated[float, Field(ge=0, le=1)]

OptionalId = Annotated[str | None, optional_field(parse_id, accepts=Annotated[str, Field(min_length=1)])]
AnyId = Annotated[str, Field(min_length=1, max_length=MAX_ID_BYTES), BeforeValidator(parse_id)]
Grade = Annotated[_GradeRange, BeforeValidator(_grade)]
OptionalGrade = Annotated[int | None, optional_field(_grade, accepts=_GradeRange)]
Weight = Annotated[float | None, optional_field(number_from(0, 1), accepts=_WeightRange)]
Metadata = Annotated[dict[str, object] | None, optional_field(_metadata, accepts=dict[str, object] | str)]
# Empty text becomes None.
Text = Annotated[str | None, optional_field(_text, accepts=str)]
EntryId = Annotated[str | None, optional_field(parse_uuid, accepts=UUID)]
