"""The columns of the list of requests, chosen by `columns` in the URL and kept nowhere else."""

from dataclasses import dataclass

from gateway.errors import BadInput
from gateway.query.filters import METADATA_PREFIX
from gateway.ui.filters import PageQuery

# Parameters of the page: the chosen columns with commas between, and one that a form adds to them.
COLUMNS, ADDED_COLUMN = "columns", "column"
_MAX_COLUMNS = 24


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the list.

    Args:
        width_class: of the style sheet, for a column that is left out where there is little room.
    """

    name: str
    title: str
    is_number: bool = False
    width_class: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """A column that may be shown or not, with the page where it is the other way round."""

    title: str
    is_shown: bool
    url: str


# Left out on a phone, and on a small screen too.
_MINOR, _SPARE = "minor", "minor spare"

# The first one leads to the request, so it is always there.
TIME = Column("time", "Time")
_KNOWN = {
    each.name: each
    for each in (
        TIME,
        Column("status", "Status"),
        Column("model", "Model"),
        Column("prompt", "Prompt", width_class=_MINOR),
        Column("user", "User", width_class=_MINOR),
        Column("feedback", "Feedback"),
        Column("duration", "Duration", is_number=True, width_class=_MINOR),
        Column("tokens", "Tokens", is_number=True, width_class=_SPARE),
        Column("cost", "Cost", is_number=True),
        Column("trace", "Trace", width_class=_SPARE),
        Column("provider", "Provider"),
        Column("endpoint", "Endpoint"),
        Column("first_byte", "First byte", is_number=True),
        Column("prompt_tokens", "Tokens in", is_number=True),
        Column("completion_tokens", "Tokens out", is_number=True),
        Column("cached_tokens", "From the cache", is_number=True),
        Column("session", "Session"),
        Column("organisation", "Organisation"),
        Column("environment", "Environment"),
        Column("key_name", "Key"),
        Column("span_name", "Span"),
        Column("attempt", "Attempt", is_number=True),
        Column("route", "Route"),
        Column("target", "Target"),
        Column("experiment", "Experiment"),
        Column("variant", "Variant"),
        Column("finish_reason", "Finish reason"),
        Column("size", "Answer size", is_number=True),
    )
}
_DEFAULT = tuple(_KNOWN)[:10]


def read_columns(query: PageQuery) -> tuple[Column, ...]:
    """Return the columns that a page shows. Raises BadInput."""
    text = query.params.get(COLUMNS)
    if text is None:
        return tuple(_KNOWN[name] for name in _DEFAULT)
    names = tuple(dict.fromkeys(name for part in text.split(",") if (name := part.strip())))
    if len(names) > _MAX_COLUMNS:
        raise BadInput(f"may name {_MAX_COLUMNS} columns; got {len(names)}.", field=COLUMNS)
    # A reader who chose them wants to see them on a phone too.
    chosen = [_column(name) for name in names]
    shown = [Column(each.name, each.title, each.is_number) for each in chosen]
    return (TIME, *(each for each in shown if each.name != TIME.name))


def _column(name: str) -> Column:
    if name.startswith(METADATA_PREFIX) and name != METADATA_PREFIX:
        return Column(name, name.removeprefix(METADATA_PREFIX))
    if name not in _KNOWN:
        allowed = f"Allowed: {', '.join((*_KNOWN, METADATA_PREFIX + 'KEY'))}."
        raise BadInput(f"has no column {name!r}.", field=COLUMNS, hint=allowed)
    return _KNOWN[name]


def with_column(shown: tuple[Column, ...], name: str) -> str:
    """Return the columns of a URL with one more; a name that is no column's is a metadata key."""
    is_column = name in _KNOWN or name.startswith(METADATA_PREFIX)
    return ",".join((*(each.name for each in shown), name if is_column else METADATA_PREFIX + name))


def column_choices(query: PageQuery, shown: tuple[Column, ...]) -> list[Choice]:
    """Return all columns but the first with what a click on each leads to."""
    names = [each.name for each in shown]
    offered = [*_KNOWN.values(), *(each for each in shown if each.name not in _KNOWN)]
    return [
        Choice(each.title, each.name in names, query.url({COLUMNS: ",".join(_toggled(names, each.name))}))
        for each in offered
        if each is not TIME and each.name != TIME.name
    ]


def _toggled(names: list[str], name: str) -> list[str]:
    return [each for each in names if each != name] if name in names else [*names, name]
