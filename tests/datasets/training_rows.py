"""Rows for training exports, made of bodies of every wire format, and what a writer makes of them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import fields
from itertools import count
from pathlib import Path
from typing import Any

import orjson

from gateway.datasets.export_format import ExportCounts, ExportRow, FormatRun, RowSetup
from gateway.datasets.registry import find_format
from gateway.models.exchange import Exchange, Outcome
from gateway.models.feedback import Feedback, Kind
from gateway.models.request import Payload, RequestRecord
from gateway.query.requests import decode_payload

AT_US = 1_796_000_000_000_000

_numbers = count(1)

JSON_HEADERS = ((b"content-type", b"application/json"),)


def record(**given: Any) -> RequestRecord:
    number = given.pop("seq", None) or next(_numbers)
    usual: dict[str, Any] = {field.name: None for field in fields(RequestRecord)}
    usual |= {
        "seq": number,
        "request_id": f"request-{number}",
        "trace_id": f"trace-{number}",
        "provider": "openai",
        "endpoint": "chat.completions",
        "method": "POST",
        "path": "/v1/chat/completions",
        "started_at_us": AT_US + number,
        "ended_at_us": AT_US + number + 1,
        "status": 200,
        "outcome": Outcome.COMPLETE,
        "metadata": {},
        "is_stream": False,
        "attempt": 0,
        "client_retry": 0,
        "request_size": 1,
        "response_size": 1,
    }
    return RequestRecord(**(usual | given))


def row(asked: dict[str, Any], answered: dict[str, Any], *feedback: Feedback, **given: Any) -> ExportRow:
    """A logged request with these bodies and this feedback."""
    payload = Payload(JSON_HEADERS, orjson.dumps(asked), False, JSON_HEADERS, orjson.dumps(answered), False)
    return ExportRow(decode_payload(record(**given), payload, feedback), feedback)


def exchange_row(exchange: Exchange, *feedback: Feedback, **given: Any) -> ExportRow:
    payload = Payload(
        exchange.request_headers,
        exchange.request_body,
        False,
        exchange.response_headers,
        exchange.response_body,
        False,
    )
    made = record(endpoint=exchange.endpoint, path=exchange.path, provider=exchange.provider, **given)
    return ExportRow(decode_payload(made, payload, feedback), feedback)


def chat(
    question: str | list[dict[str, Any]], *answers: str | dict[str, Any], **asked: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Bodies of a call of OpenAI's chat completions."""
    messages = [{"role": "user", "content": question}] if isinstance(question, str) else question
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", **({"content": answer} if isinstance(answer, str) else answer)},
            "finish_reason": "stop",
        }
        for index, answer in enumerate(answers)
    ]
    return {"model": "m", "messages": messages, **asked}, {"id": "c", "model": "m", "choices": choices}


def score(value: float, **given: Any) -> Feedback:
    return entry(kind=Kind.SCORE, value=value, score=value, **given)


def edit(text: str, **given: Any) -> Feedback:
    return entry(kind=Kind.EDIT, edited_text=text, **given)


def entry(**given: Any) -> Feedback:
    number = next(_numbers)
    usual: dict[str, Any] = {
        "feedback_id": f"feedback-{number}",
        "subject_id": "x",
        "dialect": "native",
        "raw": "{}",
        "created_at_us": AT_US + number,
        "updated_at_us": AT_US + number,
    }
    return Feedback(**(usual | given))


def export(name: str, rows: Iterable[ExportRow], folder: Path, **options: str) -> tuple[bytes, ExportCounts]:
    """The bytes of an export in this format, and its counts."""
    found = find_format(name)
    counts = ExportCounts()
    read = found.options.read(options)
    run = FormatRun(read, folder, counts=counts)
    with run.resources:
        preparer, writer = found.preparer(RowSetup(read, str)), found.open(run)
        written: list[bytes] = []
        for item, left_out in map(preparer.prepare, rows):
            for reason in left_out:
                counts.leave_out(reason)
            written += () if item is None else writer.add(item)
        return b"".join([*written, *writer.finish()]), counts


def lines(data: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in data.splitlines()]


def files(data: bytes) -> dict[str, bytes]:
    """The files of an archive by their names."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def texts(messages: Sequence[dict[str, Any]]) -> list[str]:
    return [message["content"] for message in messages]
