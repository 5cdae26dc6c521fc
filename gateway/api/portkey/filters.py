"""Request filters of the Portkey API, in query strings and in the filters of exports."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Self

import orjson
from pydantic import Field, PlainValidator

from gateway.api.portkey import schemas as values
from gateway.errors import BadInput
from gateway.models.filters import MAX_FILTER_TERMS, AllOf, AnyOf, Comparison, Filter, Op, Page
from gateway.web.bodies import abbreviate
from gateway.web.query_params import QueryParams, parsed_by

MAX_PAGE_SIZE = 50_000

_MAX_PAGES = 10**12
_MAX_TOKENS = 10**15
_MAX_CENTS = 10**11
_STATUS = re.compile("[1-5][0-9]{2}")


def _to_nanousd(cents: object) -> int | float:
    return values.to_json_number(values.to_number(cents, 0, _MAX_CENTS) * values.NANOUSD_A_CENT)


def _to_grade(value: object) -> int | float:
    return values.to_json_number(values.to_number(value, -10, 10))


def _to_status_filter(value: object) -> Filter:
    codes = [str(value)] if type(value) is int else values.to_names(value)
    if all(map(_STATUS.fullmatch, codes)):
        return Comparison("status", Op.IN, tuple(map(int, codes)))
    raise ValueError(f"must be statuses separated by commas, such as 401,403; got {abbreviate(value)}")


def _to_model_filter(value: object) -> Filter:
    parts = []
    for name in values.to_names(value):
        provider, separator, model = name.partition("__")
        if not (provider and separator and model):
            raise ValueError(f"must be such as openai__gpt-4o,anthropic__claude-3; got {abbreviate(value)}")
        parts.append(AllOf((Comparison("provider", Op.EQ, provider), Comparison("any_model", Op.EQ, model))))
    return AnyOf(tuple(parts))


def _to_metadata_filter(value: object) -> Filter:
    wanted = values.parse_json_text(value) if isinstance(value, str) else value
    if not isinstance(wanted, dict):
        raise ValueError(f"must be an object, or a string that holds one as JSON; got {abbreviate(value)}")
    if len(wanted) > MAX_FILTER_TERMS:
        raise ValueError(f"may name {MAX_FILTER_TERMS} keys; got {len(wanted):,}")
    return AllOf(tuple(_metadata_condition(key, item) for key, item in wanted.items()))


def _metadata_condition(key: str, item: object) -> Filter:
    if item is None or isinstance(item, dict | list):
        where = f"under {key[:40]!r}, where only texts and numbers can be found"
        raise ValueError(f"holds {abbreviate(item)} {where}")
    if isinstance(item, str):
        return Comparison(values.COLUMNS_BY_METADATA_KEY.get(key, f"property.{key}"), Op.EQ, item)
    return Comparison(f"property.{key}", Op.EQ, orjson.dumps(item).decode())


def _match_none(value: object) -> Filter:
    values.to_names(value)
    return AnyOf()


def _match_all(value: object) -> Filter:
    values.to_names(value)
    return AllOf()


@dataclass(frozen=True, slots=True)
class Compares:
    """Annotation of a filter: the field that its value is compared with, and how."""

    field: str
    op: Op = Op.IN


def whole_number(least: int, most: int, **schema: int) -> PlainValidator:
    """Return the annotation of a whole number; `schema` are the bounds that OpenAPI shows."""
    return parsed_by(partial(values.to_whole_number, least=least, most=most), type="integer", **schema)


_Tokens = Annotated[int, whole_number(0, _MAX_TOKENS, minimum=0)]
_Cents = Annotated[int | float, parsed_by(_to_nanousd, type="number", minimum=0)]
Grade = Annotated[int | float, parsed_by(_to_grade, type="number", minimum=-10, maximum=10)]
_Names = Annotated[tuple[str, ...], parsed_by(values.to_names, type="string")]
_Status = Annotated[Filter, parsed_by(_to_status_filter, type="string")]
_Models = Annotated[Filter, parsed_by(_to_model_filter, type="string")]
_Metadata = Annotated[Filter, parsed_by(_to_metadata_filter, type="string")]
_Nothing = Annotated[Filter, parsed_by(_match_none, type="string")]
_Everything = Annotated[Filter, parsed_by(_match_all, type="string")]
StartTime = Annotated[int, parsed_by(values.to_time_us, type="string", format="date-time")]
_end_time_us = partial(values.to_time_us, is_end=True)
EndTime = Annotated[int, parsed_by(_end_time_us, type="string", format="date-time")]
PageNumber = Annotated[int, whole_number(0, _MAX_PAGES, minimum=0)]


class RequestFilters(QueryParams):
    """Filters that must all match. Bounds are inclusive; a request without a value is neither above nor below any.

    Names in a list are separated by commas.
    """

    time_of_generation_min: Annotated[StartTime | None, Compares("started_at_us", Op.GE)] = Field(
        None,
        description="Requests that started then or later: ISO 8601, `today`, `yesterday`, or an age (`24h`).",
    )
    time_of_generation_max: Annotated[EndTime | None, Compares("started_at_us", Op.LE)] = Field(
        None, description="Requests that started then or earlier, likewise; a date includes its whole day."
    )
    workspace_slug: _Everything | None = Field(None, description="Ignored: there are no workspaces.")
    total_units_min: Annotated[_Tokens | None, Compares("total_tokens", Op.GE)] = Field(
        None, description="Requests of at least so many tokens."
    )
    total_units_max: Annotated[_Tokens | None, Compares("total_tokens", Op.LE)] = Field(
        None, description="Requests of at most so many tokens."
    )
    prompt_token_min: Annotated[_Tokens | None, Compares("prompt_tokens", Op.GE)] = Field(
        None, description="Requests of at least so many prompt tokens."
    )
    prompt_token_max: Annotated[_Tokens | None, Compares("prompt_tokens", Op.LE)] = Field(
        None, description="Requests of at most so many prompt tokens."
    )
    completion_token_min: Annotated[_Tokens | None, Compares("completion_tokens", Op.GE)] = Field(
        None, description="Requests of at least so many completion tokens."
    )
    completion_token_max: Annotated[_Tokens | None, Compares("completion_tokens", Op.LE)] = Field(
        None, description="Requests of at most so many completion tokens."
    )
    cost_min: Annotated[_Cents | None, Compares("cost_nanousd", Op.GE)] = Field(
        None, description="Requests that cost at least so many cents."
    )
    cost_max: Annotated[_Cents | None, Compares("cost_nanousd", Op.LE)] = Field(
        None, description="Requests that cost at most so many cents."
    )
    weighted_feedback_min: Annotated[Grade | None, Compares("weighted_feedback", Op.GE)] = Field(
        None, description="Requests whose mean of value × weight is at least this."
    )
    weighted_feedback_max: Annotated[Grade | None, Compares("weighted_feedback", Op.LE)] = Field(
        None, description="Requests whose mean of value × weight is at most this."
    )
    status_code: _Status | None = Field(None, description="Requests with one of these statuses: `401,403`.")
    virtual_keys: Annotated[_Names | None, Compares("provider")] = Field(
        None, description="Requests to one of these providers, by name: `openai,anthropic`."
    )
    ai_model: Annotated[_Names | None, Compares("any_model")] = Field(
        None, description="Requests answered by one of these models: `gpt-4o,gpt-4o-mini`."
    )
    ai_org_model: _Models | None = Field(
        None, description="The same with their providers: `openai__gpt-4o,local__llama`."
    )
    api_key_ids: Annotated[_Names | None, Compares("key_name")] = Field(
        None, description="Requests with one of these API keys, by name."
    )
    configs: _Nothing | None = Field(
        None, description="Matches nothing: there are no saved configs, so no request has one."
    )
    metadata: _Metadata | None = Field(
        None, description='Requests with this metadata: `{"_user": "ann", "plan": "pro"}`.'
    )
    trace_id: Annotated[_Names | None, Compares("trace_id")] = Field(
        None, description="Requests of one of these traces."
    )
    span_id: Annotated[_Names | None, Compares("span_id")] = Field(
        None, description="Requests of one of these spans."
    )
    prompt_slug: Annotated[_Names | None, Compares("prompt")] = Field(
        None, description="Requests with one of these prompts, by name."
    )

    def where(self) -> Filter:
        """Return the condition that all filters together mean."""
        parts: list[Filter] = []
        for name, info in type(self).model_fields.items():
            value = getattr(self, name)
            compares = next((each for each in info.metadata if isinstance(each, Compares)), None)
            if isinstance(value, Filter):
                parts.append(value)
            elif compares is not None and value is not None:
                parts.append(Comparison(compares.field, compares.op, value))
        return AllOf(tuple(parts))


class ExportFilters(RequestFilters):
    """The filters of an export job, and which page of the matches it writes."""

    page_size: Annotated[int, whole_number(1, MAX_PAGE_SIZE, minimum=1)] = MAX_PAGE_SIZE
    current_page: PageNumber = 0

    @classmethod
    def of(cls, filters: Mapping[str, object], at: str) -> Self:
        """Return filters of a body. Raises BadInput that names the filter.

        Args:
            at: path of the filters in the body.
        """
        for name in filters:
            if name not in cls.model_fields:
                hint = f"Allowed: {', '.join(cls.model_fields)}."
                raise BadInput("is not a known filter.", field=f"{at}.{name}", hint=hint)
        return cls.read({name: value for name, value in filters.items() if value is not None}, at)

    def page(self) -> Page:
        return Page(self.page_size, self.current_page * self.page_size)
