"""`gateway replay`: logged conversations are sent again once each, compared, and given again byte for byte."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.command import COMMAND, plain_environment, run_gateway
from tests.gateway_process import RunningGateway
from tests.log_reader import wait_until_stored
from tests.raw_http import Connection, request
from tests.scripted_upstream import EVENT_STREAM, READ, UpstreamProcess, answer, chunk, head, note, wait
from tests.upstream_server import Step

JSON = b"Content-Type: application/json"
CHAT = b"/v1/chat/completions"
PRICES = {"old": {"input": 1, "output": 1}, "new": {"input": 1000, "output": 1000}}


@pytest.fixture
def replayed(upstream: UpstreamProcess, tmp_path: Path) -> Iterator[RunningGateway]:
    """A gateway with two sessions of two requests each and a stream, all answered by `one`."""
    providers = {
        name: {"base_url": f"{upstream.url}/v1", "headers": {"x-script": name}} for name in ("one", "two")
    }
    config = {"default_provider": "one", "providers": providers, "prices": PRICES}
    with RunningGateway(tmp_path, config) as gateway:
        play(upstream, "one", *answer(said("old", "an old answer"), JSON))
        play(upstream, "two", *answer(said("new", "a new answer"), JSON))
        for session in ("s1", "s2"):
            for turn in (1, 2):
                ask(gateway, f"{session} turn {turn}", session)
        streamed = head(b"200 OK", EVENT_STREAM, b"Transfer-Encoding: chunked")
        play(upstream, "one", READ, streamed, *map(chunk, (*EVENTS, b"")))
        ask(gateway, "stream", "s3")
        wait_until_stored(gateway.database)
        upstream.take()
        yield gateway


EVENTS = (b'data: {"id":"c1","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n', b"data: [DONE]\n\n")


def play(upstream: UpstreamProcess, name: str, *steps: Step) -> None:
    upstream._order({"script": name, "steps": steps})


def said(model: str, text: str) -> bytes:
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
    return json.dumps({"model": model, "choices": [{"message": message}], "usage": usage}).encode()


def body(text: str, **more: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": text}], **more}).encode()


def ask(gateway: RunningGateway, text: str, session: str) -> None:
    field = f"x-session-id: {session}".encode()
    with Connection(gateway.port) as caller:
        assert caller.call(request(b"POST", CHAT, JSON, field, body=body(text))).status == 200


def arguments(gateway: RunningGateway, *more: str) -> list[str]:
    where = ("--storage", f"sqlite:///{gateway.database}", "--url", f"http://127.0.0.1:{gateway.port}")
    return ["replay", *where, "--against", "@two", "--name", "t", *more]


def replay(gateway: RunningGateway, *more: str) -> subprocess.CompletedProcess[str]:
    return run_gateway(*arguments(gateway, *more), cwd=gateway.database.parent)


def asked(upstream: UpstreamProcess) -> list[str]:
    """The questions that came to a provider, in order."""
    bodies = [json.loads(each.body) for each in upstream.take() if each.body is not None]
    return [each["messages"][0]["content"] for each in bodies]


def test_sessions_are_sent_whole_and_in_order_and_the_answers_are_compared(
    replayed: RunningGateway, upstream: UpstreamProcess
) -> None:
    # One request of the session matches, and all of it is sent.
    first = replay(replayed, "--session", "s1", "--json", "--parallel", "1")
    assert first.returncode == 0, first.stderr
    compared = json.loads(first.stdout)
    assert (compared["run"], compared["pairs"], compared["failed"]) == ("t", 2, 0)
    assert asked(upstream) == ["s1 turn 1", "s1 turn 2"]
    by_measure = {each["measure"]: each for each in compared["differences"]}
    cost = by_measure["cost"]
    assert (cost["original"], cost["answer"]) == pytest.approx((20e-6, 20e-3))
    # Under the same name only the rest is sent, by itself and not as a conversation of its own.
    second = replay(replayed)
    assert second.returncode == 0, second.stderr
    assert sorted(asked(upstream)) == ["s2 turn 1", "s2 turn 2", "stream"]
    assert "t: 5 pairs" in second.stdout
    replayed_again = replay(replayed)
    assert (replayed_again.returncode, asked(upstream)) == (0, [])


def test_who_was_chosen_by_the_path_is_not_asked_again(
    replayed: RunningGateway, upstream: UpstreamProcess
) -> None:
    with Connection(replayed.port) as caller:
        field = b"x-session-id: by-path"
        assert caller.call(request(b"POST", b"/one" + CHAT, JSON, field, body=body("by path"))).status == 200
    upstream.take()
    done = replay(replayed, "--session", "by-path")
    assert "t: 1 pairs" in done.stdout, done.stderr


def test_nearness_to_what_people_made_of_the_answers_is_compared(replayed: RunningGateway) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{replayed.port}") as client:
        [row, *_] = client.get("/api/v1/requests", params={"session": "s1"}).json()["data"]
        given = {"id": row["request_id"], "edited_text": "a new answer"}
        assert client.post("/api/v1/feedback", json=given).status_code < 300
    done = replay(replayed, "--session", "s1", "--json")
    [near] = [
        each for each in json.loads(done.stdout)["differences"] if each["measure"] == "nearness to edits"
    ]
    assert (near["pairs"], near["answer"]) == (1, 1.0)
    assert near["original"] < 1.0


def test_a_killed_replay_goes_on_and_every_request_is_answered_once(
    replayed: RunningGateway, upstream: UpstreamProcess
) -> None:
    gate = upstream.name()
    slow = answer(said("new", "a new answer"), JSON)
    play(upstream, "two", READ, note(f"{gate}-in"), wait(gate), *slow[1:])
    command = [*COMMAND, *arguments(replayed, "--parallel", "1")]
    folder = replayed.database.parent
    with subprocess.Popen(command, cwd=folder, env=plain_environment(), stderr=subprocess.DEVNULL) as killed:
        upstream.reached(f"{gate}-in")
        killed.send_signal(signal.SIGKILL)
    upstream.open(gate)
    finished = replay(replayed)
    assert finished.returncode == 0, finished.stderr
    assert "t: 5 pairs" in finished.stdout
    wait_until_stored(replayed.database)
    with httpx.Client(base_url=f"http://127.0.0.1:{replayed.port}") as client:
        found = client.get("/api/v1/requests", params={"metadata.replay": "t"}).json()
    answered = Counter(row["metadata"]["replay_row"] for row in found["data"] if row["outcome"] == "complete")
    assert sorted(answered.values()) == [1, 1, 1, 1, 1]
    assert not list(folder.glob("*.begun"))


def test_a_budget_is_not_passed(replayed: RunningGateway, upstream: UpstreamProcess) -> None:
    # An answer costs 0.02 dollars, and the next might cost twice as much.
    stopped = replay(replayed, "--budget", "0.07", "--parallel", "2")
    assert stopped.returncode == 0, stopped.stderr
    assert "stopped at $0.040000, before the budget is passed." in stopped.stderr
    assert len(asked(upstream)) == 2
    # Under the same name it goes on with a larger one.
    assert "stopped at $0.080000" in replay(replayed, "--budget", "0.1").stderr
    assert len(asked(upstream)) == 2


def test_a_budget_without_a_price_is_refused(replayed: RunningGateway, upstream: UpstreamProcess) -> None:
    play(upstream, "two", *answer(said("unpriced", "a new answer"), JSON))
    refused = replay(replayed, "--budget", "1")
    assert refused.returncode == 1
    assert "what an answer of two costs is not known" in refused.stderr


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        (["--against", "@"], "--against: must name a provider behind @."),
        (["--against", "nowhere"], "no route is called 'nowhere'"),
        (["--url", "http://127.0.0.1:9"], "cannot be reached"),
    ],
)
def test_a_replay_that_cannot_be_sent_says_why(replayed: RunningGateway, more: list[str], fault: str) -> None:
    refused = replay(replayed, *more)
    assert refused.returncode != 0
    assert fault in refused.stderr


def test_logged_answers_are_given_again_byte_for_byte_and_other_requests_explained(
    replayed: RunningGateway,
) -> None:
    command = [*COMMAND, *arguments(replayed, "--serve", "--port", "0")]
    folder = replayed.database.parent
    with subprocess.Popen(
        command, cwd=folder, env=plain_environment(), stdout=subprocess.PIPE, text=True
    ) as served:
        assert served.stdout is not None
        started = served.stdout.readline()
        assert started.startswith("5 logged answers on http://127.0.0.1:"), started
        with httpx.Client(base_url=started.split()[-1]) as client:
            headers = {"content-type": "application/json"}
            whole = client.post("/chat/completions", content=body("s1 turn 2"), headers=headers)
            # Equal as JSON is equal.
            spaced = json.dumps(json.loads(body("stream")), indent=1)
            streamed = client.post("/chat/completions", content=spaced, headers=headers)
            other = client.post("/chat/completions", content=body("s1 turn 9", top_p=1), headers=headers)
            nowhere = client.post("/embeddings", content=body("x"), headers=headers)
        assert (whole.status_code, whole.content) == (200, said("old", "an old answer"))
        assert streamed.content == b"".join(EVENTS)
        assert streamed.headers["content-type"].startswith("text/event-stream")
        assert other.status_code == 501
        difference = (
            "POST /v1/chat/completions differs from the nearest logged request:"
            ' messages[0].content is "s1 turn 9", not "s1 turn 1"; top_p is new.'
        )
        assert other.json()["error"]["message"] == difference
        assert "nothing is logged of POST /v1/embeddings" in nowhere.json()["error"]["message"]
        served.send_signal(signal.SIGINT)
        lines = served.stdout.read().splitlines()
    assert lines[0] == difference
    assert lines[-1] == "2 requests were answered, 2 differed from what is logged."
    assert served.returncode == 0
