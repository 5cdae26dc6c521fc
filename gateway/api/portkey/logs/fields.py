"""The fields of a request that a caller tells of: what each may hold."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field

from gateway.domain.ids import MAX_ID_BYTES, is_valid_id
from gateway.web.feedback import unless_null
from gateway.web.validation import shown

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
MAX_URL = 8192
"""Longest URL taken, in characters."""
MAX_MILLISECONDS = 10**9
"""Longest time taken that a response may have needed."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_BREAK = re.compile("[\r\n\0]")


def _url(value: object) -> str:
    """A URL without the name and password that may be in it."""
    if isinstance(value, str) and len(value) <= MAX_URL and value.isprintable() and " " not in value:
        try:
            parts = urlsplit(value)
            if parts.scheme and parts.hostname:
                return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        except ValueError:
            pass
    raise ValueError(
        f"must be a whole URL such as https://api.openai.com/v1/chat/completions; got {shown(value)}"
    )


def _method(value: object) -> str:
    if isinstance(value, str) and value.upper() in METHODS:
        return value.upper()
    raise ValueError(f"must be one of {', '.join(METHODS)}; got {shown(value)}")


def _provider(value: object) -> str:
    name = value.removeprefix("@") if isinstance(value, str) else ""
    if is_valid_id(name):
        return name
    raise ValueError(f"must be a printable string of 1 to {MAX_ID_BYTES} bytes; got {shown(value)}")


def _headers(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f"must be an object; got {shown(value)}")
    for name, text in value.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"holds {shown(name)}, which is no name of a header")
        if not isinstance(text, str) or _BREAK.search(text):
            raise ValueError(f"must hold a string without line breaks under {name!r}; got {shown(text)}")
    return value


def _body(value: object) -> object:
    if value is None or isinstance(value, dict | list | str):
        return value
    raise ValueError(f"must be an object, an array, a string, or null for no body; got {shown(value)}")


def _status(value: object) -> int:
    if type(value) is int and 100 <= value <= 599:
        return value
    raise ValueError(f"must be an integer from 100 to 599; got {shown(value)}")


def _milliseconds(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_MILLISECONDS:
        return value
    raise ValueError(f"must be a number of milliseconds up to {MAX_MILLISECONDS:,}; got {shown(value)}")


JsonBody = dict[str, object] | list[object] | str

Url = Annotated[str, Field(max_length=MAX_URL), BeforeValidator(_url)]
Method = Annotated[str, BeforeValidator(_method)]
ProviderName = Annotated[str | None, unless_null(_provider, takes=str)]
HeaderFields = Annotated[dict[str, str] | None, unless_null(_headers, takes=dict[str, str])]
Body = Annotated[object, BeforeValidator(_body, json_schema_input_type=JsonBody | None)]
Status = Annotated[int | None, unless_null(_status, takes=Annotated[int, Field(ge=100, le=599)])]
Milliseconds = Annotated[
    float | None, unless_null(_milliseconds, takes=Annotated[float, Field(ge=0, le=MAX_MILLISECONDS)])
]
