"""The calls of `feedback_cases`, one table for each dialect, sent to a running gateway."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, query

FOLDER = Path(__file__).parent / "feedback_cases"

ROLES = {"app": "feedback", "caller": "proxy", "reader": "read", "admin": "admin"}
TENANTS = ("north", "south")
CONFIG = {
    "server": {"max_feedback_bytes": 65_536},
    "keys": [
        *({"name": name, "key": f"{name}-key", "role": role} for name, role in ROLES.items()),
        *({"name": name, "key": f"{name}-key", "role": "admin", "tenant": name} for name in TENANTS),
    ],
}

LOGGED = (
    ("caller", "trace-1", "request-1"),
    ("caller", "left", "twice"),
    ("caller", "right", "twice"),
    ("north", "shared", "norths-request"),
    ("south", "shared", "souths-request"),
    ("north", "norths-own", "018bcfe5-6800-7000-8000-000000000001"),
)
"""Key, trace id and request id of what is in the log before any case."""

PATTERNS = {
    "$uuid": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "$time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"),
    "$naive_time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}"),
    "$version": re.compile(r"v\d+\.\d+\.\d+"),
    "$any": re.compile(".+"),
}


class Call(BaseModel):
    """A call as a table has it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    send: str
    by: str = "app"
    headers: dict[str, str] = Field(default_factory=dict)
    body: Any = None
    times: int = 1
    text: str = ""
    spaces: int = 0

    def content(self, names: Mapping[str, str]) -> bytes:
        if self.body is None:
            return self.text.encode() or b" " * self.spaces
        body = self.body * self.times if isinstance(self.body, list) else self.body
        return filled(json.dumps(body), names).encode()


class Case(Call):
    """A call, and the reply to it."""

    case: str
    after: list[Call] = Field(default_factory=list)
    status: int
    reply: Any


def read_cases() -> Iterator[tuple[str, Case]]:
    """Every case with the name of its dialect."""
    for file in sorted(FOLDER.glob("*.yaml")):
        for found in yaml.safe_load(file.read_text()):
            yield file.stem, Case.model_validate(found)


CASES = list(read_cases())


@dataclass(frozen=True)
class Served:
    """A gateway with something in its log, and the ids that cases call by a name."""

    url: str
    names: Mapping[str, str]

    def answer(self, call: Call) -> httpx.Response:
        method, path = call.send.split(" ")
        key = {} if call.by == "nobody" else {"x-portkey-api-key": f"{call.by}-key"}
        return httpx.request(
            method,
            self.url + filled(path, self.names),
            headers={**key, **call.headers},
            content=call.content(self.names),
        )


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with RunningGateway(tmp_path_factory.mktemp("cases"), CONFIG, arguments=("--demo",)) as gateway:
        ids = [chat(gateway, *row) for row in LOGGED]
        unread = "SELECT count(*) FROM requests WHERE interpreted_at_us IS NULL"
        eventually(lambda: query(gateway.database, unread)[0][0] == 0)
        yield Served(gateway.url, dict(zip(("$response", "$left", "$right"), ids, strict=False)))


def chat(gateway: RunningGateway, key: str, trace_id: str, request_id: str) -> str:
    """Ask the built-in provider something, and return its response id."""
    reply = httpx.post(
        f"{gateway.url}/v1/chat/completions",
        headers={
            "x-portkey-api-key": f"{key}-key",
            "x-portkey-trace-id": trace_id,
            "Helicone-Request-Id": request_id,
        },
        json={"model": "demo", "messages": [{"role": "user", "content": "Hello"}]},
    )
    response_id: str = reply.raise_for_status().json()["id"]
    return response_id


def filled(text: str, names: Mapping[str, str]) -> str:
    """Put ids in the place of their names."""
    for name, value in names.items():
        text = text.replace(name, value)
    return text


def seen(reply: Any, expected: Any) -> Any:
    """The reply as far as the case says anything of it: what fits a pattern is called by the pattern's name."""
    if isinstance(reply, dict) and isinstance(expected, dict):
        left_out = {"$others": expected["$others"]} if "$others" in expected else {}
        wanted = {name: value for name, value in reply.items() if name in expected or not left_out}
        return {**{name: seen(value, expected.get(name)) for name, value in wanted.items()}, **left_out}
    if isinstance(reply, list) and isinstance(expected, list) and len(reply) == len(expected):
        return [seen(*pair) for pair in zip(reply, expected, strict=True)]
    pattern = PATTERNS.get(expected) if isinstance(expected, str) else None
    return expected if pattern and isinstance(reply, str) and pattern.fullmatch(reply) else reply


@pytest.mark.parametrize(
    "case", [case for _, case in CASES], ids=[f"{of}: {case.case}" for of, case in CASES]
)
def test_each_call_gets_the_reply_beside_it(served: Served, case: Case) -> None:
    for earlier in case.after:
        assert served.answer(earlier).status_code == 200, earlier

    reply = served.answer(case)

    expected = json.loads(filled(json.dumps(case.reply), served.names))
    assert (reply.status_code, seen(reply.json(), expected)) == (case.status, expected)


STATUSES = {
    "portkey": {200, 400, 401, 403, 404, 405, 409, 413},
    "helicone": {200, 400, 401, 403, 404, 409, 413},
    "pharia": {200, 401, 403, 404, 405, 409, 413, 422},
}
"""What the pages on the dialects say that may be answered while the store works."""


def test_every_documented_status_of_every_dialect_has_a_case() -> None:
    shown = {dialect: {case.status for name, case in CASES if name == dialect} for dialect in STATUSES}
    assert shown == STATUSES
    assert len(CASES) > 100
