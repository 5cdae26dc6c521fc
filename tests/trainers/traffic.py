"""Traffic of every wire format with feedback, for the trainers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson

from gateway.datasets.export_format import ExportRow
from gateway.demo.exchanges import to_exchange
from gateway.demo.traffic import plan_traffic
from gateway.models.feedback import Feedback
from tests.datasets.training_rows import AT_US, chat, edit, exchange_row, row, score
from tests.wire.samples import ALL

_DEMO_REQUESTS = 300
_QUESTION = {"messages": [{"role": "user", "content": "What is there to say?"}]}


def rows() -> list[ExportRow]:
    """Wire formats' cases, demo traffic and hard shapes; a third liked, a third disliked, a third edited."""
    return [*_cases(), *_demo(), *_shapes()]


def _feedback(number: int) -> Feedback:
    return (score(1.0), score(-1.0), edit(f"Edited answer {number}."))[number % 3]


def _cases() -> Iterator[ExportRow]:
    for number, case in enumerate(ALL):
        exchange = case.exchange()
        # Many cases are of answers alone.
        if exchange.request_body in (b"", b"{}"):
            exchange = replace(exchange, request_body=orjson.dumps(_QUESTION))
        yield exchange_row(exchange, _feedback(number), user=f"user-{number % 40}")


def _demo() -> Iterator[ExportRow]:
    for number, call in enumerate(plan_traffic(AT_US, _DEMO_REQUESTS)):
        yield exchange_row(to_exchange(call), _feedback(number), user=f"user-{number % 40}")


def _shapes() -> Iterator[ExportRow]:
    call = {
        "id": "c",
        "type": "function",
        "function": {"name": "find", "arguments": '{"q": {"deep": [1, "a"]}}'},
    }
    other = {"id": "d", "type": "function", "function": {"name": "count", "arguments": "{}"}}
    tools = [
        {
            "type": "function",
            "function": {"name": "find", "parameters": {"type": "object", "properties": {"q": {}}}},
        },
        {"type": "function", "function": {"name": "count", "description": "Counts."}},
    ]
    asked: list[dict[str, Any]] = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Find it."},
        {"role": "assistant", "content": None, "tool_calls": [call, other]},
        {"role": "tool", "tool_call_id": "c", "content": "42"},
        {"role": "tool", "tool_call_id": "d", "content": "true"},
    ]
    for number in range(9):
        yield row(*chat(asked, f"Answer {number}", tools=tools), _feedback(number), user=f"tool-{number}")
        yield row(*chat("Call!", {"content": None, "tool_calls": [call]}, tools=tools), _feedback(number))
        yield row(*chat("2026-01-01", '{"a": 1}', "null"), _feedback(number), session=f"s-{number}")
        reasoned = {"content": f"0.3 {number}", "reasoning_content": "Because."}
        yield row(*chat('{"role": "user"}', reasoned), _feedback(number))
