"""Requests and feedback as pandas DataFrames: a column for each field, with a type that holds in an empty one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from types import UnionType
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from gateway.client.errors import GatewayClientError
from gateway.client.models import Feedback, ListedFeedback, LoggedRequest

if TYPE_CHECKING:
    import pandas

# Most rows in a page of the API.
MAX_PAGE_ROWS = 500

# Numbers stay numbers and texts stay texts where values are missing; objects and lists are Python's.
_DTYPES: Mapping[type, str] = {
    str: "string",
    bool: "bool",
    int: "Int64",
    float: "float64",
    datetime: "datetime64[us, UTC]",
}


def requests_frame(requests: Iterable[LoggedRequest]) -> pandas.DataFrame:
    """Return a DataFrame with a row for each request. Raises GatewayClientError without pandas."""
    return _frame(LoggedRequest, requests)


def feedback_frame(entries: Iterable[Feedback], *, texts: bool = False) -> pandas.DataFrame:
    """Return a DataFrame with a row for each entry, with `texts` of what `client.feedback.find` asked them for.
    Raises GatewayClientError without pandas."""
    return _frame(ListedFeedback if texts else Feedback, entries)


def _frame(model: type, rows: Iterable[object]) -> pandas.DataFrame:
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise GatewayClientError("pandas is not installed: pip install pandas") from error
    kept = list(rows)
    hints = get_type_hints(model)
    columns = {
        field.name: pandas.Series([getattr(row, field.name) for row in kept], dtype=_dtype(hints[field.name]))
        for field in fields(model)
    }
    return pandas.DataFrame(columns)


def _dtype(hint: Any) -> str:
    value_type = get_args(hint)[0] if isinstance(hint, UnionType) else hint
    return _DTYPES.get(value_type, "object")
