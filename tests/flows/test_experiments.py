"""Requests of an experiment, through real gateways: who gets which variant, and what the rows say."""

from __future__ import annotations

import html
import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.command import run_gateway
from tests.flows.test_routes import ASKED, GOOD, JSON, ask, play, traced
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, rows
from tests.scripted_upstream import UpstreamProcess, answer

EXPERIMENT = {
    "version": 2,
    "variants": [
        {"name": "plain", "provider": "one"},
        {
            "name": "warm",
            "strategy": {"mode": "fallback"},
            "targets": [{"provider": "two"}, {"provider": "one"}],
        },
    ],
}


def settings(upstream: UpstreamProcess) -> dict[str, Any]:
    base_url = f"{upstream.url}/v1"
    return {
        "default_provider": "one",
        "providers": {
            "one": {"base_url": base_url, "headers": {"x-script": "one"}},
            "two": {"base_url": base_url, "headers": {"x-script": "two"}},
        },
        "routes": {"tone": {"experiment": EXPERIMENT}},
    }


@pytest.fixture(scope="module")
def gateway(upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with RunningGateway(tmp_path_factory.mktemp("experiment"), settings(upstream)) as running:
        yield running


TONE = b"x-portkey-config: tone"


def of_user(user: str) -> bytes:
    return b'x-portkey-metadata: {"_user": "%b"}' % user.encode()


def test_a_person_keeps_their_variant_and_rows_say_which(
    gateway: RunningGateway, upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory
) -> None:
    people = [f"person {number}" for number in range(12)]
    for script in ("one", "two"):
        play(upstream, script, *GOOD)
    found: dict[str, set[tuple[str, ...]]] = {}
    for person in (*people, *people):
        ask(gateway, TONE, traced(person), of_user(person))
        for row in rows(gateway.database, person):
            assert row["experiment"] == "tone@2"
            assert row["route_trail"].startswith(f"{row['variant']} (")
            assert "of its user" in row["route_trail"]
            found.setdefault(person, set()).add((row["variant"], row["provider"]))
    assert all(len(kept) == 1 for kept in found.values())
    assert set.union(*found.values()) == {("plain", "one"), ("warm", "two")}
    # Another node says the same.
    with RunningGateway(tmp_path_factory.mktemp("node"), settings(upstream)) as node:
        for person in people[:4]:
            body = ASKED.replace(b'"model"', b'"user": "%b", "model"' % person.encode())
            ask(node, TONE, traced(person), body=body)
            assert {(row["variant"], row["provider"]) for row in rows(node.database, person)} == found[person]


def test_a_request_stays_with_its_variant_whoever_answers(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    play(upstream, "one", *GOOD)
    play(upstream, "two", *answer(b"{}", JSON, status=b"503 No"))
    person = next(name for name in map(str, range(50)) if variant(gateway, f"seek {name}") == "warm")
    ask(gateway, TONE, traced("crossed"), of_user(f"seek {person}"))
    attempts = [(row["variant"], row["provider"]) for row in rows(gateway.database, "crossed")]
    assert attempts == [("warm", "two"), ("warm", "one")]


def variant(gateway: RunningGateway, person: str) -> str:
    ask(gateway, TONE, traced(person), of_user(person))
    name: str = rows(gateway.database, person)[0]["variant"]
    return name


def test_a_request_without_an_experiment_has_none(gateway: RunningGateway, upstream: UpstreamProcess) -> None:
    play(upstream, "one", *GOOD)
    ask(gateway, traced("unasked"))
    [row] = rows(gateway.database, "unasked")
    assert (row["experiment"], row["variant"]) == (None, None)


VOTED = {
    "variants": [{"name": "plain", "provider": "one"}, {"name": "warm", "provider": "two"}],
    "version": 7,
}
# How many of ten people like the answers of each provider.
LIKED = {"one": 3, "two": 9}


def test_the_better_variant_wins_by_votes_of_three_dialects_and_stays_after_a_restart(
    upstream: UpstreamProcess, tmp_path: Path
) -> None:
    for script in ("one", "two"):
        play(upstream, script, *GOOD)
    config = settings(upstream) | {"routes": {"quality": {"experiment": VOTED}}}
    with RunningGateway(tmp_path, config) as gateway:
        # Nobody wins before they have voted.
        assert result(gateway)["summary"].startswith("Nothing can be said yet")
        for number in range(90):
            vote(gateway, number)
        found = result(gateway)
        assert found["winner"] == "warm", found["summary"]
        page = httpx.get(f"{gateway.url}/ui/experiments", follow_redirects=True).raise_for_status().text
        assert html.escape(found["summary"]) in page
        assert re.search(r'>warm</a> <span class="badge good">better</span>', page)
        gateway.stop()
        gateway.start()
        assert result(gateway) == found
        choose(gateway, config, "plain", holdout=0)
        answered = ask(gateway, b"x-portkey-config: quality", traced("chosen"), of_user("voter-0"))
        assert answered.value(b"x-portkey-provider") == b"one"
        [row] = rows(gateway.database, "chosen")
        assert (row["experiment"], row["variant"]) == ("quality@7:plain", "plain")
        found |= {"summary": f"It has ended: plain gets all requests, without exception. {found['summary']}"}
        assert result(gateway) == found
    shown = run_gateway("experiments", "show", "quality", "-c", str(gateway.config_file), cwd=tmp_path)
    assert found["summary"] in shown.stdout, shown.stderr
    listed = run_gateway(
        "experiments", "list", "--json", "-c", str(gateway.config_file), cwd=tmp_path
    ).stdout.splitlines()
    assert [json.loads(line) for line in listed] == [found]


def choose(gateway: RunningGateway, config: dict[str, Any], chosen: str, holdout: float) -> None:
    ended = {"experiment": VOTED | {"chosen": chosen, "holdout": holdout}}
    gateway.write_config(config | {"routes": {"quality": ended}})
    gateway.signal(signal.SIGHUP)
    eventually(lambda: "configuration reloaded" in gateway.log())


def vote(gateway: RunningGateway, number: int) -> None:
    """Ask as a person, and say through one of three dialects what they think of whoever answered."""
    name = f"voter-{number}"
    ids = (traced(name), b"Helicone-Request-Id: " + name.encode())
    answered = ask(gateway, b"x-portkey-config: quality", of_user(name), *ids)
    likes = number % 10 < LIKED[answered.value(b"x-portkey-provider").decode()]
    path, body = [
        ("/api/v1/feedback", {"id": name, "thumb": "up" if likes else "down"}),
        ("/v1/feedback", {"trace_id": name, "value": 10 if likes else -10}),
        (f"/v1/request/{name}/feedback", {"rating": likes}),
    ][number % 3]
    httpx.post(gateway.url + path, json=body).raise_for_status()


def result(gateway: RunningGateway) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{gateway.url}/api/v1/experiments/quality").raise_for_status().json()
    return found
