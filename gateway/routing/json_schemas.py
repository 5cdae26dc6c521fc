"""JSON schemas of guardrails: jsonschema's validator, within the time of a check, and without fetching anything."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jsonschema
import orjson
import referencing

from gateway.errors import BadInput
from gateway.routing.check_limits import matches, seconds_left

# Takes the validator, the keyword's value, the instance and the schema.
_Keyword = Callable[[Any, Any, object, Any], Any]


def build_validator(schema: Mapping[str, Any], field: str) -> Callable[[object], bool | None]:
    """Return whether values fit a schema of draft 2020-12; None where it refers to what cannot be found.

    Raises BadInput for what is no schema; its result raises TimeoutError.
    """
    draft = jsonschema.Draft202012Validator
    try:
        draft.check_schema(schema)
    except (jsonschema.SchemaError, RecursionError) as error:
        message = getattr(error, "message", "it nests too deeply")
        raise BadInput(f"is no JSON schema: {message[:200]}.", field=field) from None
    own = {name: _within_time(keyword) for name, keyword in draft.VALIDATORS.items()}
    # The library's own search without a time limit, and compare each member with each other.
    own |= {"pattern": _pattern, "patternProperties": _pattern_properties, "uniqueItems": _unique_items}
    validator = jsonschema.validators.extend(draft, own)(schema, registry=referencing.Registry())

    def fits(value: object) -> bool | None:
        try:
            return bool(validator.is_valid(value))
        except (referencing.exceptions.Unresolvable, RecursionError):
            return None

    return fits


def _within_time(keyword: _Keyword) -> _Keyword:
    # Schemas that refer to themselves may ask for the same any number of times.
    def check(validator: Any, rule: Any, instance: object, schema: Any) -> Any:
        seconds_left()
        return keyword(validator, rule, instance, schema)

    return check


def _pattern(validator: Any, rule: str, instance: object, schema: object) -> Iterator[Exception]:
    if isinstance(instance, str) and not matches(rule, instance):
        yield jsonschema.ValidationError("does not match")


def _pattern_properties(
    validator: Any, rules: Mapping[str, Any], instance: object, schema: object
) -> Iterator[Exception]:
    for rule, inner in rules.items():
        for name, each in instance.items() if isinstance(instance, dict) else ():
            if matches(rule, name):
                yield from validator.descend(each, inner)


def _unique_items(validator: Any, is_asked: bool, instance: object, schema: object) -> Iterator[Exception]:
    if is_asked and isinstance(instance, list):
        seconds_left()
        if len({_canonical(each) for each in instance}) < len(instance):
            yield jsonschema.ValidationError("has equal members")


def _canonical(value: object) -> bytes:
    # 1.0 is 1 there, and true is not.
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    return orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)
