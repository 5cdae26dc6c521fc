"""Query parameters as pydantic models: one declaration parses them, explains errors and documents them."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetPydanticSchema,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import ErrorDetails, PydanticCustomError, core_schema

from gateway.errors import BadInput
from gateway.web.bodies import abbreviate

_INVALID_NUMBER = "invalid_number"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter as `/openapi.json` describes it."""

    name: str
    description: str
    schema: dict[str, object] = field(default_factory=lambda: {"type": "string"})
    is_required: bool = False


class QueryParams(BaseModel):
    """The query parameters of an endpoint. Each is a field, named as in the URL or by its alias.

    A subclass with `extra="ignore"` is lenient: it ignores other names, and all but the first value of a name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Names that may be given several times; their fields are tuples.
    REPEATABLE: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def parse(cls, query: Iterable[tuple[str, str]]) -> Self:
        """Read a query string's decoded pairs.

        Raises:
            BadInput: a parameter is unknown, given twice, empty, missing or has a bad value; names it.
        """
        if cls.model_config.get("extra") == "ignore":
            return cls.read(dict(reversed(list(query))))
        pairs = list(query)
        given = unique_params((name, text) for name, text in pairs if name not in cls.REPEATABLE)
        refuse_unknown_params((name for name in given if not cls.takes(name)), cls.names())
        lists = {name: [text for each, text in pairs if each == name] for name in cls.REPEATABLE}
        return cls.read({**given, **{name: texts for name, texts in lists.items() if texts}})

    @classmethod
    def read(cls, given: Mapping[str, object], at: str = "") -> Self:
        """Return values by name as a model. Raises BadInput for a bad one.

        Args:
            at: path of the mapping inside a body, put before the name of the field (`filters`).
        """
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = str(first["loc"][0])
            problem = _describe_error(first, _schemas(cls).get(name, {}))
            raise BadInput(f"{problem}.", field=f"{at}.{name}" if at else name) from None

    @classmethod
    def takes(cls, name: str) -> bool:
        """Tell whether a parameter of this name is taken."""
        return name in cls.names()

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of all parameters."""
        return tuple(info.alias or name for name, info in cls.model_fields.items())

    @classmethod
    def parameters(cls) -> tuple[Parameter, ...]:
        """Return what `/openapi.json` says of the parameters, in their order."""
        required = {info.alias or name for name, info in cls.model_fields.items() if info.is_required()}
        plain = ((name, dict(schema)) for name, schema in _schemas(cls).items())
        return tuple(
            Parameter(name, str(schema.pop("description", "")), schema, name in required)
            for name, schema in plain
        )


@cache
def _schemas(model: type[QueryParams]) -> Mapping[str, Mapping[str, Any]]:
    # Cached, since an error text needs the schema and pydantic takes milliseconds to make one.
    document = model.model_json_schema(mode="validation", ref_template="{model}")
    shared = document.get("$defs", {})
    return {name: _plain_schema(schema, shared) for name, schema in document.get("properties", {}).items()}


def _plain_schema(schema: dict[str, Any], shared: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """A field's schema without references, its title and null, which no query string can hold."""
    if "$ref" in schema:
        return _plain_schema({**shared[schema["$ref"]], **_without(schema, "$ref")}, shared)
    plain = _without(schema, "title", "anyOf")
    if plain.get("default", "") is None:
        del plain["default"]
    options = [option for option in schema.get("anyOf", ()) if option.get("type") != "null"]
    options = [_plain_schema(option, shared) if "$ref" in option else option for option in options]
    if len(options) == 1:
        return {**options[0], **plain}
    return plain | ({"anyOf": options} if options else {})


def _without(schema: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key not in names}


def _describe_error(error: ErrorDetails, schema: Mapping[str, Any]) -> str:
    shown = abbreviate(error["input"])
    if error["type"] == "missing":
        return "is missing"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"]).removesuffix(".")
    if "enum" in schema:
        return f"must be one of {', '.join(map(str, schema['enum']))}; got {shown}"
    if schema.get("type") == "integer" and "maximum" in schema:
        least, most = schema.get("minimum", 0), schema["maximum"]
        return f"must be a whole number from {least:,} to {most:,}; got {shown}"
    return f"{error['msg'][0].lower()}{error['msg'][1:]}; got {shown}"


def _parse_boolean(value: object) -> bool:
    if value not in ("true", "false", True, False):
        raise ValueError(f"must be true or false; got {abbreviate(value)}")
    return value in ("true", True)


def _parse_digits(value: object) -> int:
    # pydantic would also take spaces, underscores, a sign and digits of other scripts.
    if isinstance(value, int):
        return value
    if isinstance(value, str) and re.fullmatch("[0-9]{1,18}", value):
        return int(value)
    raise PydanticCustomError(_INVALID_NUMBER, "must be a whole number")


Boolean = Annotated[bool, BeforeValidator(_parse_boolean)]
# Annotates an integer, after its bounds.
DIGITS = BeforeValidator(_parse_digits)


def parsed_by(parse: Callable[..., Any], **schema: object) -> PlainValidator:
    """Return the annotation of a value that a function parses.

    Args:
        parse: raises ValueError for a bad value.
        schema: JSON schema of the values that are accepted.
    """
    return PlainValidator(parse, json_schema_input_type=Annotated[Any, WithJsonSchema(schema)])


def one_of(values: Iterable[str]) -> GetPydanticSchema:
    """Return the annotation of a text that must be one of these values."""
    schema = core_schema.literal_schema(list(values))
    return GetPydanticSchema(lambda _source, _handler: schema)


def refuse_unknown_params(names: Iterable[str], known: Iterable[str]) -> None:
    """Raise BadInput for a query parameter that is not among `known`."""
    allowed = tuple(known)
    for name in names:
        if name not in allowed:
            hint = f"Allowed: {', '.join(allowed)}." if allowed else "This endpoint takes none."
            raise BadInput("is not a query parameter here.", field=name, hint=hint)


def unique_params(query: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """Return a query string's pairs by name. Raises BadInput for a name that comes twice or has no value."""
    given: dict[str, str] = {}
    for name, text in query:
        if name in given:
            raise BadInput("is given twice; give it once.", field=name)
        if not text:
            raise BadInput("has no value; leave it out or give it one.", field=name)
        given[name] = text
    return given
