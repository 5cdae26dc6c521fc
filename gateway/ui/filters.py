"""The filter of a page: read from its URL, written as a sentence, changed by links and forms."""

import asyncio
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import quote, urlencode

from aiohttp import web

from gateway.errors import BadInput, GatewayError
from gateway.models.clock import TIME_FORMS, now_us, parse_time_us, to_datetime
from gateway.models.filters import Filter
from gateway.models.metrics import DAY_US, MetricsQuery
from gateway.models.principal import Principal, Role
from gateway.query.filters import METADATA_PREFIX, FilterField, FilterSchema, ValueType
from gateway.query.metrics import GROUP_FIELDS, MetricsReader
from gateway.web.endpoint import Endpoint

# Of every list: where to go on, what is open beside it, and the form that adds a filter.
CURSOR, ITEM = "cursor", "item"
# What a page says once; no link of it leads there again.
NOTICE = "notice"
ADDED_NAME, ADDED_KEY, ADDED_VALUE = "add", "key", "value"
_PAGE_PARAMS = (CURSOR, ITEM, NOTICE)

ALL_TIME = "all"
# By the value of `from`.
TIME_RANGES = {
    "15m": "last 15 minutes",
    "1h": "last hour",
    "24h": "last 24 hours",
    "7d": "last 7 days",
    "30d": "last 30 days",
    ALL_TIME: "all time",
}
DEFAULT_RANGE = "7d"
# After this a list shows what it has found, says how far back it looked, and goes on from there.
LIST_SECONDS = 0.25

# Matches are counted up to here, beside the list.
MAX_COUNTED = 10_000
_COUNT_SECONDS = 0.06

# Fields with few values.
_FIELDS = (
    *("model", "provider", "prompt", "prompt_version", "environment", "organisation", "key_name"),
    *(
        "endpoint",
        "finish_reason",
        "cache_status",
        "route",
        "target",
        "experiment",
        "variant",
        "user",
        "session",
    ),
)
_VALUE_DAYS = 30
_MOST_VALUES = 50
# Typing does not wait; a field that takes longer is typed without help.
_VALUE_SECONDS = 0.15
# Metadata is summed up anew for a key that nobody asked for lately.
_METADATA_SECONDS = 0.3
_VALUES_KEPT_SECONDS = 60

# More digits fit no column.
_MAX_PLACE_DIGITS = 18

NO_CHANGES: Mapping[str, str | None] = {}

_PHRASES: Mapping[tuple[str, str], str] = {
    ("rating", "bad"): "score is below 0",
    ("rating", "good"): "score is above 0",
    ("rating", "neutral"): "score is 0",
    ("has_feedback", "true"): "there is feedback",
    ("has_feedback", "false"): "there is no feedback",
    ("judged", "true"): "feedback counts for it",
    ("judged", "false"): "no feedback counts for it",
    ("is_joined", "true"): "its request is logged",
    ("is_joined", "false"): "it waits for its request",
    ("reviewed", "true"): "somebody reviewed it",
    ("reviewed", "false"): "nobody reviewed it",
}
_VERBS = {
    "min_score": ("score", "is at least"),
    "max_score": ("score", "is at most"),
    "comment": ("comment", "contains"),
}


# By the title of a group, in the order of what is asked most.
_FILTER_GROUPS: Mapping[str, tuple[str, ...]] = {
    "Feedback": (
        *("rating", "min_score", "max_score", "label", "comment", "kind", "source", "author"),
        *("has_feedback", "reviewed", "reviewed_by", "reserved_by", "judged", "is_joined", "dialect"),
    ),
    "Request": (
        *("model", "provider", "prompt", "prompt_version", "environment"),
        *("user", "organisation", "session", "key_name"),
    ),
    "Answer": (
        "status",
        "outcome",
        "is_stream",
        "has_usage",
        "cache_status",
        "route",
        "target",
        "experiment",
        "variant",
        "attempt",
        "client_retry",
    ),
}
_OTHER_FILTERS = "Ids and more"


@dataclass(frozen=True, slots=True)
class Condition:
    """A word of the sentence: one filter, how to read it and how to be rid of it."""

    name: str
    value: str
    phrase: str
    # The page without it, and what a form keeps to replace its value.
    url_without: str
    kept: tuple[tuple[str, str], ...]
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AddableFilter:
    """A filter that may be added to the sentence; `choices` are all of its values where they are few."""

    name: str
    description: str
    choices: tuple[str, ...]

    @property
    def title(self) -> str:
        return self.name.replace("_", " ")


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A time that the page can be narrowed to."""

    text: str
    url: str
    is_current: bool


@dataclass(frozen=True)
class PageQuery:
    """What the URL of a page asks for.

    Args:
        filters: by name, without the time.
        params: what is no filter, such as the open item.
        own: names of parameters of this page that are no filters.
    """

    path: str
    schema: FilterSchema
    filters: Mapping[str, str]
    since: str = DEFAULT_RANGE
    until: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        request: web.Request,
        schema: FilterSchema,
        own: tuple[str, ...] = (),
        since: str = DEFAULT_RANGE,
    ) -> "PageQuery":
        """Read a request's URL.

        Args:
            own: names of parameters beside filters, cursor and item.
            since: the time where the URL has none.

        Raises:
            BadInput: a parameter is given twice.
        """
        given: dict[str, str] = {}
        for name, value in request.query.items():
            if name in given:
                raise BadInput("is given twice; give it once.", field=name)
            given[name] = value
        return cls.of(request.path, schema, given, own, since)

    @classmethod
    def of(
        cls,
        path: str,
        schema: FilterSchema,
        fields: Mapping[str, str],
        own: tuple[str, ...] = (),
        since: str = DEFAULT_RANGE,
    ) -> "PageQuery":
        """Read the fields of a URL or form. Raises BadInput."""
        # An empty field of a form asks for nothing.
        given = {name: text for name, value in fields.items() if (text := value.strip())}
        if (added := given.pop(ADDED_NAME, None)) is not None:
            value = given.pop(ADDED_VALUE, "")
            key = given.pop(ADDED_KEY, "")
            if added.endswith(METADATA_PREFIX):
                if not key:
                    raise BadInput("is missing: the name of a metadata key.", field=ADDED_KEY)
                added += key
            if not value:
                raise BadInput("has no value; leave it out or give it one.", field=added)
            given[added] = value
        params = {name: given.pop(name) for name in (*_PAGE_PARAMS, *own) if name in given}
        start, end = given.pop("from", since), given.pop("to", None)
        # All time ends now.
        return cls(path, schema, given, start, None if end == ALL_TIME else end, params)

    def where(self) -> Filter:
        """Return the condition that all filters together mean. Raises BadInput for a bad one; names it."""
        return self.schema.to_filter((*self.filters.items(), *self._times()))

    def times_us(self) -> tuple[int, int]:
        """Return the start, inclusive, and the end, exclusive, of the time. Raises BadInput."""
        try:
            start = 0 if self.since == ALL_TIME else parse_time_us(self.since)
        except ValueError:
            raise BadInput(f"must be a time: {TIME_FORMS}.", field="from") from None
        try:
            end = now_us() if self.until is None else parse_time_us(self.until, is_end=True)
        except ValueError:
            raise BadInput(f"must be a time: {TIME_FORMS}.", field="to") from None
        return start, end

    @cached_property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Filters and time as they stand in a URL."""
        return (*self.filters.items(), ("from", self.since), *((("to", self.until),) if self.until else ()))

    @property
    def api_query(self) -> str:
        """The same filters as a query string of the API."""
        return urlencode([*self.filters.items(), *self._times()])

    def url(self, changes: Mapping[str, str | None] = NO_CHANGES, path: str | None = None) -> str:
        """Return the URL of this page, or of another one with these filters, with some parameters changed.

        Args:
            changes: None takes a parameter out. The place in the list is left out unless it is given.
        """
        values = dict(self.pairs) | (dict(self.params) if path is None else {})
        values.pop(NOTICE, None)
        if not {CURSOR, ITEM} & changes.keys():
            values.pop(CURSOR, None)
            values.pop(ITEM, None)
        changed = {**values, **changes}
        return f"{path or self.path}?{urlencode({k: v for k, v in changed.items() if v is not None})}"

    def conditions(self) -> list[Condition]:
        """Return the words of the sentence, in the order of the URL."""
        return [self._condition(name, value) for name, value in self.filters.items()]

    def ranges(self) -> list[TimeRange]:
        """Return the times to choose from."""
        return [
            TimeRange(text, self.url({"from": since, "to": None}), since == self.since and self.until is None)
            for since, text in TIME_RANGES.items()
        ]

    @property
    def time_phrase(self) -> str:
        """The time in words."""
        if self.until is None:
            return TIME_RANGES.get(self.since, f"since {self.since}")
        return f"{self.since} to {self.until}"

    def addable(self) -> list[tuple[str, list[AddableFilter]]]:
        """Return the filters that are not in use, in groups with a title."""
        taken = {*self.filters, "from", "to"}
        free = {name: each for name, each in self.schema.criteria.items() if name not in taken}
        grouped = {title: [name for name in names if name in free] for title, names in _FILTER_GROUPS.items()}
        known = {name for names in grouped.values() for name in names}
        grouped[_OTHER_FILTERS] = [name for name in free if name not in known]
        return [
            (title, [AddableFilter(name, free[name].description, _choices_of(free[name])) for name in names])
            for title, names in grouped.items()
            if names
        ]

    def kept(self, *without: str) -> tuple[tuple[str, str], ...]:
        """Return the parameters that a form passes on, without those it replaces and the place in the list."""
        dropped = {*without, *_PAGE_PARAMS}
        return tuple(
            (name, value) for name, value in (*self.pairs, *self.params.items()) if name not in dropped
        )

    def _times(self) -> Iterator[tuple[str, str]]:
        if self.since != ALL_TIME:
            yield "from", self.since
        if self.until is not None:
            yield "to", self.until

    def _condition(self, name: str, value: str) -> Condition:
        criterion = self.schema.criteria.get(name)
        choices = () if criterion is None else _choices_of(criterion)
        return Condition(
            name, value, describe_condition(name, value), self.url({name: None}), self.kept(name), choices
        )


def _choices_of(criterion: FilterField) -> tuple[str, ...]:
    return ("true", "false") if criterion.value_type is ValueType.FLAG else criterion.choices


class ValuePages:
    """Offers values that a field has had lately, where a filter is typed."""

    def __init__(self, metrics: MetricsReader) -> None:
        self._metrics = metrics

    @Endpoint("GET", "/ui/values", Role.READ, "Values to filter by", failures=(400, 503, 504))
    async def _list(self, request: web.Request, principal: Principal) -> web.Response:
        name = request.query.get("field", "")
        values = await self._read(name, principal.tenant)
        headers = {
            "Cache-Control": f"private, max-age={_VALUES_KEPT_SECONDS}",
            "Vary": "Cookie, Authorization",
            "X-Content-Type-Options": "nosniff",
        }
        return web.json_response(values, headers=headers)

    async def _read(self, name: str, tenant: str | None) -> list[str]:
        is_metadata = name.startswith(METADATA_PREFIX) and name != METADATA_PREFIX
        if name not in _FIELDS and not is_metadata:
            return []
        # A whole day, so that the sums that are kept by day answer.
        start = (now_us() // DAY_US - _VALUE_DAYS) * DAY_US
        query = MetricsQuery(start, now_us(), group_by=GROUP_FIELDS.get(name, name), tenant=tenant)
        seconds = _METADATA_SECONDS if is_metadata else _VALUE_SECONDS
        try:
            found = await asyncio.wait_for(self._metrics.list_values(query, _MOST_VALUES), seconds)
        except (TimeoutError, GatewayError):
            return []
        return [str(value) for value in found]


async def count_in_time(counting: Awaitable[int]) -> str | None:
    """Return a count up to `MAX_COUNTED` in words; None where it takes long: no page waits for its count."""
    try:
        number = await asyncio.wait_for(counting, _COUNT_SECONDS)
    except (TimeoutError, GatewayError):
        return None
    return f"{number:,}" if number <= MAX_COUNTED else f"{MAX_COUNTED:,}+"


def read_place(text: str | None) -> tuple[int, int] | None:
    """Return the two numbers of a place in a list. Raises BadInput."""
    if text is None:
        return None
    first, _, second = text.partition(".")
    return read_number(first), read_number(second)


def read_number(text: str, field: str = CURSOR) -> int:
    """Return the number of a row or of a place in a list. Raises BadInput."""
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_PLACE_DIGITS:
        raise BadInput("must be a number as the links and forms of this page hold it.", field=field)
    return int(text)


def describe_condition(name: str, value: str) -> str:
    """Return a filter in words: `team is support`, `score is below 0`."""
    if (phrase := _PHRASES.get((name, value))) is not None:
        return phrase
    field_name = name.rpartition(METADATA_PREFIX)[2] if METADATA_PREFIX in name else name
    subject, verb = _VERBS.get(name, (field_name.replace("_", " "), "is"))
    return f"{subject} {verb} {value}"


# Whether filters are of requests or of feedback.
OF = "of"
# Fewer than the year 9999 has.
_MAX_TIME_DIGITS = 17
_TIMES = {"from": "time is since", "to": "time is before"}


def describe_filters(filters: Mapping[str, str], subject: str = "requests") -> str:
    """Return what filters find in words."""
    subject = f"{subject} with feedback" if filters.get(OF) == "feedback" else subject
    conditions = [
        f"{_TIMES[name]} {_time_text(text)}" if name in _TIMES else describe_condition(name, text)
        for name, text in filters.items()
        if name != OF
    ]
    return f"{subject} where {' and '.join(conditions)}" if conditions else f"all {subject}"


def _time_text(text: str) -> str:
    # Jobs hold times that stay the same, in µs since the epoch.
    is_number = text.isascii() and text.isdecimal() and len(text) <= _MAX_TIME_DIGITS
    return f"{to_datetime(int(text)):%Y-%m-%d %H:%M} UTC" if is_number else text


def list_url(filters: Mapping[str, str]) -> str:
    """Return the list that shows what filters find now."""
    page = "feedback" if filters.get(OF) == "feedback" else "requests"
    own = {name: text for name, text in filters.items() if name != OF}
    return f"/ui/{page}?{urlencode({'from': ALL_TIME} | own, quote_via=quote)}"
