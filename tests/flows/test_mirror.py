"""Requests of a route go to its mirror too: what that gets and logs, and that callers notice nothing of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from tests.cli.command import run_gateway
from tests.gateway_fixtures import closed_port
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, rows
from tests.raw_http import Connection, request
from tests.scripted_upstream import EVENT_STREAM, READ, UpstreamProcess, answer, chunk, head, note, wait
from tests.upstream_server import Step

JSON = b"Content-Type: application/json"
CHAT = b"/v1/chat/completions"
ASKED = b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}]}'
SAID = b'{"choices":[{"message":{"content":"Hello"}}],"usage":{"prompt_tokens":3,"completion_tokens":2}}'
KEY = "app-key-0123456789"


@pytest.fixture(scope="module")
def mirrored(upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway whose routes answer by `one`, and mirror to `two` or to nobody."""
    providers: dict[str, Any] = {
        name: {"base_url": f"{upstream.url}/v1", "headers": {"x-script": name}} for name in ("one", "two")
    }
    providers["down"] = {"base_url": f"http://127.0.0.1:{closed_port()}/v1"}
    mirror = {"provider": "two", "override_params": {"model": "other"}}
    routes = {
        "all": {"provider": "one", "mirror": mirror},
        "some": {"provider": "one", "mirror": {**mirror, "share": 0.3}},
        "down": {"provider": "one", "mirror": {"provider": "down"}},
    }
    keys = [{"name": "app", "key": KEY, "role": "proxy"}]
    config = {"default_provider": "one", "providers": providers, "routes": routes, "keys": keys}
    with RunningGateway(tmp_path_factory.mktemp("mirrored"), config) as running:
        yield running


@pytest.fixture(autouse=True)
def good_answers(upstream: UpstreamProcess) -> None:
    for name in ("one", "two"):
        play(upstream, name, *answer(SAID, JSON))
    upstream.take()


def play(upstream: UpstreamProcess, name: str, *steps: Step) -> None:
    upstream._order({"script": name, "steps": steps})


def ask(gateway: RunningGateway, route: str, trace: str) -> Any:
    fields = (JSON, f"x-portkey-config: {route}".encode(), f"x-portkey-trace-id: {trace}".encode())
    own = (b'x-portkey-metadata: {"team": "a", "_user": "u"}', b"x-portkey-api-key: " + KEY.encode())
    with Connection(gateway.port) as caller:
        return caller.call(request(b"POST", CHAT, *fields, *own, body=ASKED))


def mirrors(gateway: RunningGateway, trace: str) -> list[dict[str, Any]]:
    """The rows that mirror those of a trace."""
    ids = [row["request_id"] for row in rows(gateway.database, trace)]
    with sqlite3.connect(f"file:{gateway.database}?mode=ro", uri=True) as store:
        store.row_factory = sqlite3.Row
        found = [dict(row) for row in store.execute("SELECT * FROM requests WHERE target = 'config.mirror'")]
    return [row for row in found if json.loads(row["metadata"])["mirror_of"] in ids]


def test_a_mirror_gets_the_request_as_its_target_wants_it_and_a_row_of_its_own(
    mirrored: RunningGateway, upstream: UpstreamProcess
) -> None:
    answered = ask(mirrored, "all", "row")
    assert (answered.status, answered.value(b"x-portkey-provider")) == (200, b"one")
    [row] = eventually(lambda: mirrors(mirrored, "row"))
    [original] = rows(mirrored.database, "row")
    first, second = upstream.take()
    assert first.body is not None
    assert second.body == first.body.replace(b'"m"', b'"other"')
    assert (row["status"], row["outcome"], row["completion_tokens"]) == (200, "complete", 2)
    assert (row["route"], row["key_name"], row["provider"]) == ("all", "mirror:app", "two")
    # Feedback on the trace, and on its user, is on what people have seen.
    assert row["trace_id"] != original["trace_id"]
    assert row["user"] is None
    assert json.loads(row["metadata"]) == {"team": "a", "mirror_of": original["request_id"]}


def test_a_slow_mirror_keeps_no_caller_waiting(mirrored: RunningGateway, upstream: UpstreamProcess) -> None:
    gate = upstream.name()
    play(upstream, "two", READ, note(f"{gate}-in"), wait(gate), *answer(SAID, JSON)[1:])
    assert ask(mirrored, "all", "slow").body == SAID
    upstream.reached(f"{gate}-in")
    assert ask(mirrored, "all", "slow").body == SAID
    assert mirrors(mirrored, "slow") == []
    upstream.open(gate)
    assert len(eventually(lambda: found if len(found := mirrors(mirrored, "slow")) == 2 else [])) == 2


def test_a_mirror_that_fails_fails_no_caller(mirrored: RunningGateway) -> None:
    answered = ask(mirrored, "down", "down")
    assert (answered.status, answered.body) == (200, SAID)
    [row] = eventually(lambda: mirrors(mirrored, "down"))
    assert (row["status"], row["outcome"]) == (502, "upstream_error")


def test_what_failed_for_the_caller_is_not_mirrored(
    mirrored: RunningGateway, upstream: UpstreamProcess
) -> None:
    play(upstream, "one", READ, ["close"])
    assert ask(mirrored, "all", "failed").status == 502
    play(upstream, "one", *answer(SAID, JSON))
    assert ask(mirrored, "all", "after").status == 200
    eventually(lambda: mirrors(mirrored, "after"))
    assert mirrors(mirrored, "failed") == []


def test_a_stream_is_mirrored_whole(mirrored: RunningGateway, upstream: UpstreamProcess) -> None:
    events = (b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n', b"data: [DONE]\n\n")
    streamed = head(b"200 OK", EVENT_STREAM, b"Transfer-Encoding: chunked")
    play(upstream, "two", READ, streamed, *map(chunk, (*events, b"")))
    assert ask(mirrored, "all", "stream").status == 200
    [row] = eventually(lambda: mirrors(mirrored, "stream"))
    assert (row["response_size"], row["outcome"]) == (len(b"".join(events)), "complete")


def test_a_share_is_mirrored(mirrored: RunningGateway, upstream: UpstreamProcess) -> None:
    for _ in range(60):
        ask(mirrored, "some", "share")
    ask(mirrored, "all", "last")
    eventually(lambda: mirrors(mirrored, "last"))
    # Six standard deviations around 18.
    assert 0 < len(mirrors(mirrored, "share")) < 40


def test_the_answers_of_a_mirror_are_compared_with_those_of_callers(
    mirrored: RunningGateway, upstream: UpstreamProcess
) -> None:
    play(upstream, "two", *answer(SAID.replace(b'"completion_tokens":2', b'"completion_tokens":5'), JSON))
    asked = ("--where", "metadata.team=a", "--since")
    with sqlite3.connect(f"file:{mirrored.database}?mode=ro", uri=True) as store:
        [newest] = store.execute("SELECT max(started_at_us) FROM requests").fetchone()
    since = datetime.fromtimestamp((newest + 1) / 1e6, UTC).isoformat()
    for number in range(2):
        ask(mirrored, "all", f"compared-{number}")
        eventually(partial(mirrors, mirrored, f"compared-{number}"))
    where = ("--storage", f"sqlite:///{mirrored.database}", "--mirror", "all", *asked, since, "--json")
    done = run_gateway("replay", *where, cwd=mirrored.database.parent)
    assert done.returncode == 0, done.stderr
    compared = json.loads(done.stdout)
    assert (compared["run"], compared["pairs"], compared["failed"]) == ("all", 2, 0)
    [length] = [each for each in compared["differences"] if each["measure"] == "length"]
    assert (length["original"], length["answer"]) == (2.0, 5.0)


def test_a_caller_brings_no_mirror_along(mirrored: RunningGateway) -> None:
    route = b'x-portkey-config: {"provider": "one", "mirror": {"provider": "two"}}'
    with Connection(mirrored.port) as caller:
        key = b"x-portkey-api-key: " + KEY.encode()
        refused = caller.call(request(b"POST", CHAT, JSON, route, key, body=ASKED))
    assert refused.status == 400
    assert b"x-portkey-config.mirror: only routes of the configuration have a mirror." in refused.body
