"""Filter trees of the Helicone API: tables, columns and operators become our filters."""

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from gateway.errors import BadInput
from gateway.models.clock import parse_time_us
from gateway.models.exchange import lowercase_ascii
from gateway.models.filters import (
    MAX_FILTER_TERMS,
    NO_FILTER,
    AllOf,
    AnyOf,
    Comparison,
    Filter,
    Not,
    Op,
    Scalar,
)
from gateway.models.request import NANOUSD_PER_USD
from gateway.web.bodies import abbreviate

# Translates an operator and a value. Raises BadInput, without a field, for what the column does not take.
ColumnFilter = Callable[[str, object], Filter]

# Longest pattern, in characters, for a column whose values are matched here instead of in the store.
MAX_PATTERN = 100

_NULL_VALUES = (None, "null")
_EQUALITY_OPERATORS = {"equals": Op.EQ, "not-equals": Op.NE}
_ORDER_OPERATORS = {"equals": Op.EQ, "gte": Op.GE, "lte": Op.LE, "lt": Op.LT, "gt": Op.GT}
_NUMBER_OPERATORS = {**_ORDER_OPERATORS, "not-equals": Op.NE}
_TEXT_OPERATORS = (*_EQUALITY_OPERATORS, "like", "ilike", "contains", "not-contains")


def text_column(field: str) -> ColumnFilter:
    def to_filter(operator: str, value: object) -> Filter:
        _refuse_other_operator(operator, _TEXT_OPERATORS)
        if operator in _EQUALITY_OPERATORS and value in _NULL_VALUES:
            return Comparison(field, _EQUALITY_OPERATORS[operator], None)
        wanted = _require_text(value)
        match operator:
            case "equals" | "not-equals":
                return Comparison(field, _EQUALITY_OPERATORS[operator], wanted)
            case "like":
                return Comparison(field, Op.LIKE, wanted)
            case "ilike":
                return Comparison(field, Op.ILIKE, wanted)
        contains = Comparison(field, Op.ILIKE, f"%{wanted}%")
        return contains if operator == "contains" else Not(contains)

    return to_filter


def _compared_column(
    field: str, operators: Mapping[str, Op], parse: Callable[[object], Scalar], *, has_null: bool = True
) -> ColumnFilter:
    def to_filter(operator: str, value: object) -> Filter:
        _refuse_other_operator(operator, operators)
        if has_null and operator in _EQUALITY_OPERATORS and value in _NULL_VALUES:
            return Comparison(field, operators[operator], None)
        return Comparison(field, operators[operator], parse(value))

    return to_filter


def number_column(field: str, scale: int = 1) -> ColumnFilter:
    """Return a column of numbers, which our field holds `scale` times as large."""

    def parse(value: object) -> int | float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadInput(f"must be a number; got {abbreviate(value)}.")
        if scale == 1:
            return value
        # Exact where it is an integer: 0.1 dollars are 100,000,000 nano-dollars.
        product = Decimal(str(value)) * scale
        return int(product) if product == product.to_integral_value() else float(product)

    return _compared_column(field, _NUMBER_OPERATORS, parse)


def time_column(field: str) -> ColumnFilter:
    return _compared_column(field, _ORDER_OPERATORS, _parse_time_us, has_null=False)


def boolean_column(field: str) -> ColumnFilter:
    def parse(value: object) -> bool:
        if not isinstance(value, bool):
            raise BadInput(f"must be true or false; got {abbreviate(value)}.")
        return value

    return _compared_column(field, {"equals": Op.EQ}, parse)


def enum_column(field: str, shown_as: Mapping[str, str], otherwise: str) -> ColumnFilter:
    """Return a column of text that shows our field's values under other names.

    Args:
        shown_as: their names by our values.
        otherwise: the name of every other value.
    """

    def to_filter(operator: str, value: object) -> Filter:
        _refuse_other_operator(operator, _TEXT_OPERATORS)
        wanted = _require_text(value)
        chosen = [ours for ours, theirs in shown_as.items() if _text_matches(theirs, operator, wanted)]
        is_chosen = Comparison(field, Op.IN, tuple(chosen))
        if not _text_matches(otherwise, operator, wanted):
            return is_chosen
        return Not(Comparison(field, Op.IN, tuple(ours for ours in shown_as if ours not in chosen)))

    return to_filter


def name_column(field_of: Callable[[str], str]) -> ColumnFilter:
    """Return a column of names under which a request has a value.

    Args:
        field_of: returns the field of a name.
    """

    def to_filter(operator: str, value: object) -> Filter:
        _refuse_other_operator(operator, _EQUALITY_OPERATORS)
        is_missing = Comparison(field_of(_require_text(value)), Op.EQ, None)
        return Not(is_missing) if operator == "equals" else is_missing

    return to_filter


def unsupported_column(reason: str) -> ColumnFilter:
    def refuse(operator: str, value: object) -> Filter:
        raise BadInput(f"cannot be filtered by: {reason}.")

    return refuse


def _require_text(value: object) -> str:
    if not isinstance(value, str):
        raise BadInput(f"must be a string; got {abbreviate(value)}.")
    return value


def _refuse_other_operator(operator: str, known: Iterable[str]) -> None:
    if operator not in known:
        raise BadInput("is not an operator of this column.", hint=f"Allowed: {', '.join(known)}.")


def _parse_time_us(value: object) -> int:
    try:
        return parse_time_us(_require_text(value), is_iso=True)
    except ValueError:
        raise BadInput(
            f"must be a time such as 2026-01-31T09:30:00Z, a date or an age such as 7d; got {abbreviate(value)}."
        ) from None


def _text_matches(text: str, operator: str, wanted: str) -> bool:
    match operator:
        case "equals":
            return text == wanted
        case "not-equals":
            return text != wanted
        case "like":
            return _matches_pattern(text, wanted)
        case "ilike":
            return _matches_pattern(text.lower(), wanted.lower())
    contains = _matches_pattern(text.lower(), f"%{wanted.lower()}%")
    return contains if operator == "contains" else not contains


def _matches_pattern(text: str, pattern: str) -> bool:
    if len(pattern) > MAX_PATTERN:
        raise BadInput(f"must be at most {MAX_PATTERN} characters long.")
    parts = ({"%": ".*", "_": "."}.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


# Helicone's names of providers, by the names in our configuration.
PROVIDERS: Mapping[str, str] = {
    name.lower(): name
    for name in (
        "OPENAI", "ANTHROPIC", "AZURE", "LOCAL", "TOGETHER", "FIREWORKS", "PERPLEXITY", "GOOGLE", "OPENROUTER",
        "GROQ", "COHERE", "MISTRAL", "DEEPINFRA", "AWS", "DEEPSEEK", "X", "NEBIUS", "NOVITA",
    )
}  # fmt: skip
OTHER_PROVIDER = "CUSTOM"

_NO_COUNTRY = unsupported_column("the country of callers is not stored")
_NO_JOBS = unsupported_column("there are no jobs here")

# Why columns can be neither filtered nor sorted by.
NO_INPUTS = "inputs of prompts are only in their bodies; send what should be found by name as a property"
ONLY_CACHED = "of a cache it is only stored whether it answered"


def property_field_name(name: str) -> str:
    """Return our field of a property."""
    # Case does not matter, since the names come from names of header fields.
    return f"property_in_any_case.{lowercase_ascii(name)}"


# Columns by table.
TABLE_COLUMNS: Mapping[str, Mapping[str, ColumnFilter]] = {
    "request": {
        "prompt": text_column("request_text"),
        "created_at": time_column("started_at_us"),
        "user_id": text_column("user"),
        "auth_hash": unsupported_column("only the name of a key is stored"),
        "org_id": text_column("tenant"),
        "id": text_column("request_id"),
        "node_id": _NO_JOBS,
        "model": text_column("requested_model"),
        "modelOverride": text_column("stated_model"),
        "path": text_column("path"),
        "country_code": _NO_COUNTRY,
        "prompt_id": text_column("prompt"),
    },
    "response": {
        "body_tokens": number_column("total_tokens"),
        "body_model": text_column("any_model"),
        "body_completion": text_column("response_text"),
        "status": number_column("status"),
        "model": text_column("model"),
    },
    "feedback": {
        "id": text_column("feedback.id"),
        "created_at": time_column("feedback.updated_at_us"),
        "rating": boolean_column("feedback.rating"),
    },
    "request_response_rmt": {
        "latency": number_column("duration_ms"),
        "status": number_column("status"),
        "request_created_at": time_column("started_at_us"),
        "response_created_at": time_column("ended_at_us"),
        "model": text_column("any_model"),
        "user_id": text_column("user"),
        "organization_id": text_column("tenant"),
        "node_id": _NO_JOBS,
        "job_id": _NO_JOBS,
        "threat": unsupported_column("requests are not checked for threats"),
        "request_id": text_column("request_id"),
        "prompt_id": text_column("prompt"),
        "prompt_version": unsupported_column("only the name of a prompt is stored"),
        "prompt_tokens": number_column("prompt_tokens"),
        "completion_tokens": number_column("completion_tokens"),
        "total_tokens": number_column("total_tokens"),
        "prompt_cache_read_tokens": number_column("cached_tokens"),
        "prompt_cache_write_tokens": number_column("cache_write_tokens"),
        "time_to_first_token": number_column("first_byte_ms"),
        "target_url": unsupported_column("only the provider of a target is stored"),
        "provider": enum_column("provider", PROVIDERS, OTHER_PROVIDER),
        "request_body": text_column("request_text"),
        "response_body": text_column("response_text"),
        "assets": unsupported_column("files are stored as parts of bodies"),
        "scores_column": name_column(lambda name: f"score.{name}"),
        "helicone-score-feedback": boolean_column("feedback.rating"),
        "cost": number_column("cost_nanousd", NANOUSD_PER_USD),
        "cached": boolean_column("is_cached"),
        "cache_enabled": unsupported_column(ONLY_CACHED),
        "cache_reference_id": unsupported_column(ONLY_CACHED),
        "property_key": name_column(property_field_name),
        "country_code": _NO_COUNTRY,
    },
}
# Tables with a column for any name.
NAMED_TABLES: Mapping[str, Callable[[str], ColumnFilter]] = {
    "properties": lambda name: text_column(property_field_name(name)),
    "values": lambda name: unsupported_column(NO_INPUTS),
}
# Columns with a column for any name inside them.
NESTED_COLUMNS: Mapping[str, Mapping[str, Callable[[str], ColumnFilter]]] = {
    "request_response_rmt": {
        "properties": NAMED_TABLES["properties"],
        "search_properties": NAMED_TABLES["properties"],
        "scores": lambda name: number_column(f"score.{name}"),
    }
}
ALL_REQUESTS = "all"

_NODE_KEYS = {"left", "operator", "right"}


def to_filter(tree: object) -> Filter:
    """Translate a filter: `"all"`, a node of two filters, or a leaf `{table: {column: {operator: value}}}`.

    All conditions of a leaf must hold; every request matches an empty leaf.

    Raises:
        BadInput: a table, column, operator or value is unknown, or there are too many conditions; names it.
    """
    return _FilterParser().tree(tree, "filter")


class _FilterParser:
    """Parses a tree and counts its conditions. `at` is the path to a part."""

    def __init__(self) -> None:
        self._terms = 0

    def tree(self, tree: object, at: str) -> Filter:
        if tree == ALL_REQUESTS or tree is None:
            self._count()
            return NO_FILTER
        given = _require_object(tree, at)
        if given.keys() & _NODE_KEYS:
            return self._node(given, at)
        before = self._terms
        found = AllOf(tuple(self._table(name, columns, f"{at}.{name}") for name, columns in given.items()))
        # An empty leaf counts too, or a tree of them could be of any size.
        if self._terms == before:
            self._count()
        return found

    def _node(self, node: dict[str, object], at: str) -> Filter:
        if node.keys() != _NODE_KEYS:
            raise BadInput("must hold left, operator and right, and nothing else.", field=at)
        sides = (self.tree(node["left"], f"{at}.left"), self.tree(node["right"], f"{at}.right"))
        match node["operator"]:
            case "and":
                return AllOf(sides)
            case "or":
                return AnyOf(sides)
        raise BadInput(f'must be "and" or "or"; got {abbreviate(node["operator"])}.', field=f"{at}.operator")

    def _table(self, table: str, columns: object, at: str) -> Filter:
        given = _require_object(columns, at)
        if table in NAMED_TABLES:
            of_name = NAMED_TABLES[table]
            return AllOf(
                tuple(self._column(of_name(name), tests, f"{at}.{name}") for name, tests in given.items())
            )
        if table not in TABLE_COLUMNS:
            raise _unknown_name_error("table", at, (*TABLE_COLUMNS, *NAMED_TABLES))
        return AllOf(
            tuple(self._column_of(table, name, tests, f"{at}.{name}") for name, tests in given.items())
        )

    def _column_of(self, table: str, name: str, tests: object, at: str) -> Filter:
        nested = NESTED_COLUMNS.get(table, {})
        if name in nested:
            inner = _require_object(tests, at)
            return AllOf(tuple(self._column(nested[name](key), inner[key], f"{at}.{key}") for key in inner))
        if name not in TABLE_COLUMNS[table]:
            raise _unknown_name_error("column", at, (*TABLE_COLUMNS[table], *nested))
        return self._column(TABLE_COLUMNS[table][name], tests, at)

    def _column(self, column: ColumnFilter, tests: object, at: str) -> Filter:
        return AllOf(
            tuple(self._test(column, name, value, at) for name, value in _require_object(tests, at).items())
        )

    def _test(self, column: ColumnFilter, operator: str, value: object, at: str) -> Filter:
        self._count()
        try:
            return column(operator, value)
        except BadInput as problem:
            raise BadInput(problem.message, field=f"{at}.{operator}", hint=problem.hint) from None

    def _count(self) -> None:
        self._terms += 1
        if self._terms > MAX_FILTER_TERMS:
            raise BadInput(f"must have at most {MAX_FILTER_TERMS} conditions.", field="filter")


def _require_object(value: object, at: str) -> dict[str, object]:
    if isinstance(value, dict):
        return value
    raise BadInput(f"must be an object; got {abbreviate(value)}.", field=at)


def _unknown_name_error(what: str, at: str, known: Iterable[str]) -> BadInput:
    return BadInput(f"is not a known {what}.", field=at, hint=f"Allowed: {', '.join(known)}.")
