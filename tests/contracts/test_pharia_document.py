"""The page that PhariaAssistant's users read on its feedback API, run call by call by bash and curl as printed.

Five calls of it name something that only a reader could fill in, or that is over: an id that is a gap or another
installation's, and the year 2024. Those are run as printed too, and then as what they evidently mean.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

from gateway.models.ids import new_id
from tests.gateway_process import RunningGateway
from tests.postgres_server import PostgresServer

DOCUMENT = Path(__file__).parent / "documents" / "pharia.yaml"
HOST = "https://pharia-assistant.<your.pharia-ai.domain.com>"
NOT_FOUND = {"detail": [{"loc": ["path", "feedback_id"], "msg": "Feedback not found", "type": "not_found"}]}
CURLRC = 'silent\nnoproxy = "*"\nwrite-out = "\\n%{http_code}"\n'
"""Has curl tell the status, without a word added to the calls."""

KEYS = {"<YOUR_AUTH_TOKEN>": "proxy", "<YOUR_ADMIN_TOKEN>": "admin"}
"""The tokens of the page and the roles of the keys that stand for them: the first must need none of feedback."""

CONFIG = {"keys": [{"name": role, "key": f"{role}-key", "role": role} for role in KEYS.values()]}


class Meaning(BaseModel):
    """What a call does that cannot do it as printed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    why: str
    put: dict[str, str]
    status: int
    reply: Any = None
    lists: list[str] | None = None


class Printed(BaseModel):
    """A call of the page."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    run: str
    status: int
    reply: Any = None
    answers: str | None = None
    lists: list[str] | None = None
    meant: Meaning | None = None


CALLS = [Printed.model_validate(found) for found in yaml.safe_load(DOCUMENT.read_text())]


class Answer(BaseModel):
    """What curl showed."""

    status: int
    reply: Any = Field(default=None)


@dataclass
class Reader:
    """Somebody who goes through the page with a terminal."""

    gateway: RunningGateway
    ids: dict[str, str] = field(default_factory=dict)

    def run(self, command: str, put: Mapping[str, str] | None = None) -> Answer:
        """Run a call of the page in bash, with what is to stand in place of its gaps."""
        (self.gateway.folder / ".curlrc").write_text(CURLRC)
        gaps = {HOST: self.gateway.url, **{gap: f"{role}-key" for gap, role in KEYS.items()}}
        for gap, value in {**gaps, **(put or {})}.items():
            command = command.replace(gap, value)
        done = subprocess.run(
            ["bash", "-c", command],
            env={**os.environ, "CURL_HOME": str(self.gateway.folder)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done
        body, _, status = done.stdout.rpartition("\n")
        return Answer(status=int(status), reply=json.loads(body))

    def get(self, path: str, **parameters: str) -> Any:
        """Ask the gateway something else than the page does, as an admin."""
        headers = {"Authorization": "Bearer admin-key"}
        reply = httpx.get(self.gateway.url + path, params=parameters, headers=headers)
        return reply.raise_for_status().json()

    def check(self, answer: Answer, said: Printed | Meaning) -> None:
        """Hold an answer against what should be answered."""
        assert answer.status == said.status, answer
        if said.lists is not None:
            assert [row["feedback_id"] for row in answer.reply] == [self.ids[name] for name in said.lists]
        elif isinstance(said, Printed) and said.answers is not None:
            assert set(answer.reply) == {"feedback_id"}
            self.ids[said.answers] = str(UUID(answer.reply["feedback_id"]))
        else:
            assert answer.reply == (NOT_FOUND if said.reply == "$not_found" else said.reply)

    def filled(self, put: Mapping[str, str]) -> dict[str, str]:
        """What to put in place of what, with ids for their names and the year at hand."""
        year = str(datetime.now(UTC).year)
        return {gap: self.ids.get(value, value.replace("$year", year)) for gap, value in put.items()}


@pytest.fixture(params=["sqlite", "postgres"])
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reader]:
    config: dict[str, Any] = dict(CONFIG)
    if request.param == "sqlite":
        with RunningGateway(tmp_path, config, arguments=("--demo",)) as gateway:
            yield Reader(gateway)
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.database() as url:
        config["storage"] = {"url": url, "local_dir": str(tmp_path)}
        with RunningGateway(tmp_path, config, arguments=("--demo",)) as gateway:
            yield Reader(gateway)


def test_each_call_of_the_page_is_answered_as_printed_or_as_it_means(reader: Reader) -> None:
    assert len(CALLS) == 12
    rows: dict[str, Any] = {}
    for call in CALLS:
        reader.check(reader.run(call.run), call)
        if call.meant is not None:
            answer = reader.run(call.run, reader.filled(call.meant.put))
            reader.check(answer, call.meant)
            rows[call.name] = answer.reply

    [row] = rows["list one entry"]
    version = re.compile(r"v\d+\.\d+\.\d+")
    assert version.fullmatch(row["api_version"])
    assert version.fullmatch(row["ui_version"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", row["creation_date"])
    printed = {
        "trace_id": "123e4567-e89b-12d3-a456-426614174000",
        "app_id": "987fcdeb-51a2-43d1-9f12-345678901234",
        "app_version": "v1.2.0",
        "feedback": {"type": "rating", "value": 5, "comment": "Excellent response quality!"},
    }
    assert {name: row[name] for name in printed} == printed

    thumb = reader.get(f"/api/v1/feedback/{reader.ids['thumb']}")
    versions = [(each["kind"], each["value"], each["score"]) for each in thumb["versions"]]
    assert versions == [("thumb", 1, 1), ("thumb", 0, -1)]

    edit = reader.get(f"/api/v1/feedback/{reader.ids['edit']}")
    assert (edit["kind"], edit["original_text"], edit["edited_text"]) == (
        "edit",
        "AI generated text here...",
        "User improved text here...",
    )
    assert edit["original_id"] == reader.ids["original"]
    assert reader.get(f"/api/v1/feedback/{reader.ids['original']}")["kind"] == "original"

    second = reader.get(f"/api/v1/feedback/{reader.ids['second']}")
    assert second["kind"] == "edit"
    assert second["original_text"] == "The capital of France is Paris."


def test_a_rating_is_given_turned_and_deleted_for_good_and_that_is_in_the_audit_log(reader: Reader) -> None:
    by_name = {call.name: call for call in CALLS}
    give, change, delete = (by_name[name] for name in ("give a rating", "change a rating", "delete an entry"))
    trace = {
        "x-portkey-trace-id": "123e4567-e89b-12d3-a456-426614174000",
        "Authorization": "Bearer proxy-key",
    }
    chat = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}
    httpx.post(f"{reader.gateway.url}/v1/chat/completions", json=chat, headers=trace).raise_for_status()
    feedback_id = reader.run(give.run).reply["feedback_id"]
    printed_id = {"456e7890-f12b-34c5-d678-901234567890": feedback_id}

    def score() -> Any:
        return reader.get("/api/v1/traces/123e4567-e89b-12d3-a456-426614174000")["score"]["weighted_mean"]

    assert score() == 1
    reader.run(change.run, printed_id)
    assert score() == -1
    assert reader.run(delete.run, printed_id).status == 200

    assert score() is None
    gone = {"headers": {"Authorization": "Bearer admin-key"}}
    url = f"{reader.gateway.url}/api/v1/feedback/{feedback_id}"
    assert httpx.get(url, **gone).status_code == 404  # type: ignore[arg-type]
    [entry] = reader.get("/api/v1/audit")["data"]
    assert (entry["action"], entry["target"], entry["outcome"]) == (
        "DELETE /api/feedback/{feedback_id}",
        f"/api/feedback/{feedback_id}",
        "200",
    )


def test_each_error_of_the_page_has_its_status_and_shape(reader: Reader) -> None:
    admin = "<YOUR_ADMIN_TOKEN>"
    list_all, delete, give = (
        next(call for call in CALLS if call.name == name).run
        for name in ("list everything", "delete an entry", "give a rating")
    )

    unauthorised = reader.run(list_all, {"admin-key": "nobody's"})
    assert (unauthorised.status, unauthorised.reply["detail"][0]["type"]) == (401, "unauthorized")

    forbidden = reader.run(list_all.replace(admin, "<YOUR_AUTH_TOKEN>"))
    assert (forbidden.status, forbidden.reply["detail"][0]["type"]) == (403, "forbidden")

    for unknown in (new_id(), "trace-123"):
        missing = reader.run(delete, {"456e7890-f12b-34c5-d678-901234567890": unknown})
        assert (missing.status, missing.reply) == (404, NOT_FOUND)

    invalid = reader.run(give, {'"trace_id": "123e4567-e89b-12d3-a456-426614174000",\n': ""})
    assert (invalid.status, invalid.reply) == (
        422,
        {"detail": [{"loc": ["body", "trace_id"], "msg": "field required", "type": "value_error.missing"}]},
    )

    entries = [{"trace_id": "crowded", "value": 1}] * 1000
    for some in (entries, entries[:1]):
        bulk = httpx.post(
            f"{reader.gateway.url}/v1/feedback", json=some, headers={"x-portkey-api-key": "admin-key"}
        )
        bulk.raise_for_status()
    too_many = reader.run(list_all)
    assert too_many.status == 413
    assert too_many.reply["detail"][0]["msg"].startswith("Too many results")
