"""Money and tokens come to one sum, whoever adds them up: rows, figures, traces, sessions, users and limits."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.models.ids import new_id
from tests.conftest import StartGateway
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, query, wait_until_interpreted
from tests.scripted_upstream import UpstreamProcess, answer
from tests.wire.samples import ALL, Case

PATHS = {
    "chat.completions": "v1/chat/completions",
    "responses": "v1/responses",
    "messages": "v1/messages",
    "embeddings": "v1/embeddings",
    "gemini.generate": "v1beta/models/gemini-2.5-flash:generateContent",
    "ollama.chat": "api/chat",
    "cohere.chat": "v2/chat",
    "bedrock.converse": "model/us.anthropic.claude-haiku-4-5-20251001-v1%3A0/converse",
}
CASES = [case for case in ALL if case.endpoint in PATHS]
LIMITS = ["1000000000 tokens/month", "1000000 usd/month"]
NANO = 1_000_000_000

Call = tuple[Case, str, str, str, str]

CALLS = st.lists(
    st.tuples(
        st.sampled_from(CASES),
        st.sampled_from(["openai", "anthropic", "openrouter"]),
        st.sampled_from(["ann", "bob"]),
        st.sampled_from(["t1", "t2", "t3"]),
        st.sampled_from(["s1", "s2"]),
    ),
    min_size=1,
    max_size=12,
)


@pytest.fixture
def counting(start_gateway: StartGateway, upstream: UpstreamProcess) -> RunningGateway:
    providers = {
        name: {"base_url": f"{upstream.url}/v1", "prices_as": name}
        for name in ("openai", "anthropic", "openrouter")
    }
    keys = [
        {"name": "app", "key": "app-key-0123456789", "role": "proxy", "limits": LIMITS},
        {"name": "ops", "key": "ops-key-0123456789", "role": "admin"},
    ]
    return start_gateway({"default_provider": "openai", "providers": providers, "keys": keys})


def ask(gateway: RunningGateway, upstream: UpstreamProcess, run: str, call: Call) -> None:
    case, provider, user, trace, session = call
    script = upstream.script(*answer(case.body, b"Content-Type: " + case.content_type.encode()))
    httpx.post(
        f"{gateway.url}/{provider}/{PATHS[case.endpoint]}",
        json={"model": "gpt-4o-mini"},
        headers={
            "x-portkey-api-key": "app-key-0123456789",
            "x-script": script.decode().partition(": ")[2],
            "x-portkey-trace-id": f"{run}-{trace}",
            "x-portkey-metadata": json.dumps(
                {"_organisation": run, "_user": f"{run}-{user}", "_session": f"{run}-{session}"}
            ),
        },
        timeout=30,
    )


def list_all(gateway: RunningGateway, resource: str, run: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        parameters = {"organisation": run, "limit": "5"} | ({"cursor": cursor} if cursor else {})
        shown = httpx.get(
            f"{gateway.url}/api/v1/{resource}",
            params=parameters,
            headers={"authorization": "Bearer ops-key-0123456789"},
            timeout=30,
        ).json()
        found += shown["data"]
        cursor = shown.get("next_cursor")
        if cursor is None:
            return found


def of_rows(rows: list[dict[str, Any]]) -> tuple[int, int, int]:
    names = ("prompt_tokens", "completion_tokens", "cost_nanousd")
    prompt, completion, cost = (sum(row[name] or 0 for row in rows) for name in names)
    return prompt, completion, cost


def of_groups(groups: list[dict[str, Any]]) -> tuple[int, int, int]:
    return (
        sum(group["tokens"]["prompt"] for group in groups),
        sum(group["tokens"]["completion"] for group in groups),
        sum(group["cost"]["nanousd"] or 0 for group in groups),
    )


def used(gateway: RunningGateway) -> tuple[int, int]:
    """Tokens and nano-dollars that the key has used, as far as the store was told."""
    found = query(gateway.database, "SELECT unit, amount FROM spendings WHERE key_name = 'app'")
    amounts = {row["unit"]: row["amount"] for row in found}
    return amounts.get("tokens", 0), amounts.get("usd", 0)


def test_every_sum_is_the_sum_of_the_rows(counting: RunningGateway, upstream: UpstreamProcess) -> None:
    totals: list[tuple[int, int, int]] = []

    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
    @given(CALLS)
    def sums_agree(calls: list[Call]) -> None:
        run = new_id()
        tokens_before, nanousd_before = used(counting)
        for call in calls:
            ask(counting, upstream, run, call)
        wait_until_interpreted(counting.database)
        rows = list_all(counting, "requests", run)
        assert len(rows) == len(calls)
        total = of_rows(rows)
        totals.append(total)
        for resource in ("aggregates", "traces", "sessions", "users"):
            assert of_groups(list_all(counting, resource, run)) == total, resource
        prompt, completion, cost = total
        wanted = (tokens_before + prompt + completion, nanousd_before + cost)
        eventually(lambda: used(counting) == wanted)

    sums_agree()
    assert all(any(sums) for sums in zip(*totals, strict=True))
