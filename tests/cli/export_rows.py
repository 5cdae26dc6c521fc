"""Rows as other gateways export them, to import."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def helicone_row(number: int, **given: object) -> dict[str, Any]:
    """A chat completion; every second one was rated."""
    return {
        "request_id": f"helicone-{number}",
        "request_created_at": f"2024-05-22T15:{number // 60 % 60:02}:{number % 60:02}.{number:06}Z",
        "delay_ms": 500,
        "response_status": 200,
        "provider": "OPENAI",
        "request_path": "https://api.openai.com/v1/chat/completions",
        "request_model": "gpt-4o",
        "response_model": "gpt-4o-2024-08-06",
        "prompt_tokens": 9,
        "completion_tokens": 3,
        "costUSD": 0.0000525,
        "properties": {"plan": "pro"},
        "request_body": {"model": "gpt-4o", "messages": [{"role": "user", "content": f"Question {number}"}]},
        "response_body": {"id": f"chatcmpl-{number}", "object": "chat.completion", "choices": []},
        "feedback_rating": number % 2 == 0 or None,
        **given,
    }


def portkey_row(number: int, **given: object) -> dict[str, Any]:
    """A chat completion of a trace of its own."""
    return {
        "id": f"portkey-{number}",
        "trace_id": f"trace-{number}",
        "created_at": f"2024-05-22T16:{number // 60 % 60:02}:{number % 60:02}Z",
        "ai_org": "openai",
        "ai_model": "gpt-4o-2024-08-06",
        "req_units": 9,
        "res_units": 3,
        "cost": 0.00525,
        "response_time": 500,
        "response_status_code": 200,
        "request": {"model": "gpt-4o", "messages": [{"role": "user", "content": f"Question {number}"}]},
        "response": {"id": f"chatcmpl-p{number}", "object": "chat.completion", "choices": []},
        "metadata": {"_user": "ann"},
        **given,
    }


def write_lines(path: Path, rows: Iterable[object]) -> Path:
    """Write rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def summary(
    rows: int, added: int, refused: int, feedback: int, feedback_added: int, word: str = "added"
) -> list[str]:
    """What an import says of itself, but for the store."""
    there, feedback_there = rows - added - refused, feedback - feedback_added
    return [
        f"rows      {rows:,} read, {added:,} {word}, {there:,} there already, {refused:,} refused",
        f"feedback  {feedback_added:,} {word}, {feedback_there:,} there already",
    ]
