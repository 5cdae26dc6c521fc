"""The ways in which feedback is given, one for each path, and how each dialect draws an error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

Complaint = Callable[[httpx.Response], str]


@dataclass(frozen=True)
class Way:
    """A path by which a token may vote, and how its dialect draws an error."""

    path: str
    body: dict[str, Any]
    complaint: Complaint


def in_portkeys_shape(reply: httpx.Response) -> str:
    body = reply.json()
    assert (set(body), body["status"]) == ({"status", "message"}, "failure")
    return str(body["message"])


def in_helicones_shape(reply: httpx.Response) -> str:
    body = reply.json()
    assert (set(body), body["data"]) == ({"data", "error"}, None)
    return str(body["error"])


def in_pharias_shape(reply: httpx.Response) -> str:
    [detail] = reply.json()["detail"]
    assert set(detail) == {"loc", "msg", "type"}
    return str(detail["msg"])


def in_our_shape(reply: httpx.Response) -> str:
    error = reply.json()["error"]
    assert set(error) >= {"code", "message", "field"}
    return str(error["message"])


WAYS = {
    "native": Way("/api/v1/feedback", {"id": "ID", "thumb": "up"}, in_our_shape),
    "portkey": Way("/v1/feedback", {"trace_id": "ID", "value": 5}, in_portkeys_shape),
    "helicone": Way("/v1/request/ID/feedback", {"rating": True}, in_helicones_shape),
    "helicone scores": Way("/v1/request/ID/score", {"scores": {"helpful": 0.5}}, in_helicones_shape),
    "pharia": Way("/api/feedback", {"trace_id": "ID", "feedback": {"rating": 4}}, in_pharias_shape),
    "pharia without /api": Way("/feedback", {"trace_id": "ID", "feedback": {"rating": 4}}, in_pharias_shape),
}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
