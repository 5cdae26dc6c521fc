"""What is asked for: from a query string to a question, and the parameters that it may hold.

Most of them are filters, which `generations.py` translates; `docs/portkey.md` has them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateway.api.portkey.generations import to_filter, to_page
from gateway.api.portkey.values import to_us
from gateway.domain.aggregate import DAY_US, Question
from gateway.domain.filter import Page
from gateway.errors import BadInput
from gateway.query.timelines import LONGEST_US
from gateway.web.face import Parameter
from gateway.web.query_string import once_each

MIN = "time_of_generation_min"
MAX = "time_of_generation_max"

MAX_PAGE_SIZE = 1000
"""Most groups on a page; so many are on one if nothing is said."""


def read_question(query: Iterable[tuple[str, str]], tenant: str | None) -> Question:
    """Return the question in a query string's decoded pairs.

    Raises:
        BadInput: a parameter is missing, unknown, given twice or has a bad value; names it and what is allowed.
    """
    given = once_each(query)
    from_us, last_us = _time(given, MIN), _time(given, MAX)
    if last_us < from_us:
        raise BadInput(f"must not be before {MIN}.", field=MAX)
    if last_us - from_us > LONGEST_US:
        raise BadInput(f"must be at most {LONGEST_US // DAY_US:,} days after {MIN}.", field=MAX)
    filters = {name: text for name, text in given.items() if name not in (MIN, MAX)}
    where = to_filter(filters, of_counted=True)
    return Question(from_us, last_us + 1, where, tenant=tenant)


def read_page(query: Mapping[str, str]) -> Page:
    """Return the page in a query string; the first one is page 0.

    Raises:
        BadInput: `page_size` or `current_page` is no whole number, or out of bounds.
    """
    return to_page(query, least=0, most=MAX_PAGE_SIZE)


def _time(given: Mapping[str, str], name: str) -> int:
    if name not in given:
        raise BadInput("is missing.", field=name, hint="Send a time such as 2026-01-31T09:30:00Z.")
    try:
        time_us = to_us(given[name], is_end=name == MAX)
    except ValueError as problem:
        raise BadInput(f"{problem}.", field=name, hint="A + in a URL is sent as %2B.") from None
    if time_us < 0:
        raise BadInput("must not be before 1970.", field=name)
    return time_us


_TIME: dict[str, object] = {"type": "string", "format": "date-time"}
_TOKENS: dict[str, object] = {"type": "integer", "minimum": 0}
_CENTS: dict[str, object] = {"type": "number", "minimum": 0}
_GRADE: dict[str, object] = {"type": "number", "minimum": -10, "maximum": 10}
_PAGE: dict[str, object] = {"type": "integer", "minimum": 0}

QUESTION_PARAMETERS = (
    Parameter(
        MIN,
        "Requests that started then or later: ISO 8601, `today`, `yesterday`, or an age (`24h`, `7d`).",
        _TIME,
        is_required=True,
    ),
    Parameter(
        MAX,
        "Requests that started then or earlier, likewise; a date is meant with its end.",
        _TIME,
        is_required=True,
    ),
    Parameter("workspace_slug", "Taken; there are no workspaces here."),
    Parameter("total_units_min", "Requests of at least so many tokens.", _TOKENS),
    Parameter("total_units_max", "Requests of at most so many tokens.", _TOKENS),
    Parameter("prompt_token_min", "Requests of at least so many tokens of prompt.", _TOKENS),
    Parameter("prompt_token_max", "Requests of at most so many tokens of prompt.", _TOKENS),
    Parameter("completion_token_min", "Requests of at least so many tokens of completion.", _TOKENS),
    Parameter("completion_token_max", "Requests of at most so many tokens of completion.", _TOKENS),
    Parameter("cost_min", "Requests that cost at least so many cents.", _CENTS),
    Parameter("cost_max", "Requests that cost at most so many cents.", _CENTS),
    Parameter("weighted_feedback_min", "Requests whose mean of value × weight is at least this.", _GRADE),
    Parameter("weighted_feedback_max", "Requests whose mean of value × weight is at most this.", _GRADE),
    Parameter("status_code", "Requests answered with one of these statuses: `401,403`."),
    Parameter("virtual_keys", "Requests to one of these providers, by name: `openai,anthropic`."),
    Parameter("ai_model", "Requests answered by one of these models: `gpt-4o,gpt-4o-mini`."),
    Parameter("ai_org_model", "The same with their providers: `openai__gpt-4o,local__llama`."),
    Parameter("api_key_ids", "Requests that came with one of these gateway keys, by name."),
    Parameter("configs", "Taken; there are no saved configs here, so no request has any."),
    Parameter("metadata", 'Requests with this metadata: `{"_user": "ann", "plan": "pro"}`.'),
    Parameter("trace_id", "Requests of one of these traces."),
    Parameter("span_id", "Requests of one of these spans."),
    Parameter("prompt_slug", "Requests with one of these prompts, by name."),
)
"""What every path takes. Names in a list are separated by commas."""

PAGE_PARAMETERS = (
    Parameter(
        "page_size", "Most groups on a page.",
        {**_PAGE, "maximum": MAX_PAGE_SIZE, "default": MAX_PAGE_SIZE},
    ),
    Parameter("current_page", "Which page; the first one is 0.", {**_PAGE, "default": 0}),
)  # fmt: skip
"""What paths of groups take besides."""
