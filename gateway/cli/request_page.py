"""One logged request as a page to read: its row, both messages, and what was said about it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields

from gateway.cli.table import clock, printable
from gateway.domain.feedback import Feedback, Target
from gateway.domain.request import NANO, RequestRecord
from gateway.query import LoggedRequest, Message


def page(logged: LoggedRequest) -> str:
    """Return the page; what is not known is left out."""
    return printable("\n".join(_lines(logged)))


def _lines(logged: LoggedRequest) -> Iterator[str]:
    yield from _row(logged.record)
    if logged.request is None and logged.response is None:
        yield "\nno payload was kept"
    if logged.request is not None:
        yield from _head("request", logged.request)
        yield from _body(logged.request.body)
    if logged.response is not None:
        yield from _head("response", logged.response)
        yield from _body(logged.response.body) if logged.reassembled is None else _whole(logged.reassembled)
    if logged.feedback:
        yield "\n--- feedback"
        yield from map(_verdict, logged.feedback)


def _row(record: RequestRecord) -> Iterator[str]:
    for field in fields(record):
        value = getattr(record, field.name)
        if value is not None and value != {}:
            name, text = _shown(field.name, value)
            yield f"{name:<18} {text}"


def _shown(name: str, value: object) -> tuple[str, str]:
    if name.endswith("_at_us") and isinstance(value, int):
        return name.removesuffix("_us"), f"{clock(value)}.{value % 1_000_000:06} UTC"
    if name == "cost_nanousd" and isinstance(value, int):
        return "cost_usd", f"{value / NANO:.9f}"
    if isinstance(value, str):
        return name, str(value)
    return name, json.dumps(value, ensure_ascii=False)


def _head(name: str, message: Message) -> Iterator[str]:
    cut = ", cut in the log" if message.is_truncated else ""
    yield f"\n--- {name}, {message.size_bytes:,} bytes{cut}"
    for header, value in message.headers:
        yield f"{_text(header)}: {_text(value)}"


def _body(body: bytes) -> Iterator[str]:
    if not body:
        return
    yield ""
    try:
        yield _pretty(json.loads(body))
    except (ValueError, RecursionError):
        yield _text(body).rstrip("\n")


def _whole(reassembled: object) -> Iterator[str]:
    yield "\n(the stream as one object; --raw response has the stream itself)"
    yield _pretty(reassembled)


def _pretty(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace").replace("\r\n", "\n")


def _verdict(entry: Feedback) -> str:
    value = "-" if entry.value is None else f"{entry.value:g}"
    comment = f"  {entry.comment}" if entry.comment else ""
    author = f"  by {entry.author}" if entry.author else ""
    via = "" if entry.target is Target.REQUEST else f"  via {entry.target}"
    return f"{clock(entry.created_at_us)}  {entry.kind} {value} × {entry.weight:g}{via}{author}{comment}"
