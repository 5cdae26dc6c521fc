"""Analytics as Portkey's SDKs read them, of calls and feedback that they sent."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import portkey_ai
import pytest
from portkey_ai._vendor.openai import APIStatusError
from portkey_ai.api_resources import exceptions

from tests.demo_gateway import GATEWAY_KEY, KEY_NAME, read_trace
from tests.gateway_process import RunningGateway

MODEL = "demo-chat"
MESSAGES: list[Any] = [{"role": "user", "content": "How are you, gateway?"}]
GRAPHS = (
    "requests", "cost", "latency", "tokens", "users", "users_requests", "errors", "errors_rate", "errors_stacks",
    "errors_status_codes", "requests_rescued", "cache_hit_rate", "cache_latency", "feedbacks", "feedbacks_scores",
    "feedbacks_weighted", "feedbacks_ai_models",
)  # fmt: skip
"""The SDK's methods of graphs."""


@pytest.fixture
def client(gateway: RunningGateway) -> Iterator[Any]:
    """The SDK. Its types say less than its replies hold."""
    with portkey_ai.Portkey(base_url=f"{gateway.url}/v1", api_key=GATEWAY_KEY) as sdk:
        yield sdk
        sdk.openai_client.close()


@pytest.fixture
async def async_client(gateway: RunningGateway) -> AsyncIterator[Any]:
    sdk: Any = portkey_ai.AsyncPortkey(base_url=f"{gateway.url}/v1", api_key=GATEWAY_KEY)
    yield sdk
    await sdk.openai_client.close()
    await sdk.close()


@pytest.fixture
def team() -> str:
    """A team that nobody else is in."""
    return f"team-{secrets.token_hex(8)}"


@pytest.fixture
def asked(client: Any, gateway: RunningGateway, team: str) -> dict[str, str]:
    """What finds two calls of a team, one of them judged and the other refused by the provider."""
    begun = datetime.now(UTC)
    known = client.with_options(trace_id=f"{team}-1", metadata={"_user": team, "team": team})
    known.chat.completions.create(model=MODEL, messages=MESSAGES)
    elsewhere = known.with_options(trace_id=f"{team}-2", provider="@refusing")
    with pytest.raises(APIStatusError, match="502"):
        elsewhere.chat.completions.create(model=MODEL, messages=MESSAGES)
    for trace_id in (f"{team}-1", f"{team}-2"):
        read_trace(gateway, trace_id)
    client.feedback.create(trace_id=f"{team}-1", value=5, weight=0.5)
    return {
        "time_of_generation_min": (begun - timedelta(minutes=1)).isoformat(),
        "time_of_generation_max": (datetime.now(UTC) + timedelta(minutes=1)).isoformat(),
        "metadata": f'{{"team": "{team}"}}',
    }


def test_every_graph_of_the_sdk_is_drawn(client: Any, asked: dict[str, str]) -> None:
    graphs = {name: getattr(client.analytics.graphs, name)(**asked) for name in GRAPHS}
    assert {graph.object for graph in graphs.values()} == {"analytics-graph"}
    assert graphs["requests"].summary["total"] == 2
    assert graphs["tokens"].summary["total"] > 0
    assert graphs["users"].summary["total"] == 1
    assert graphs["errors_rate"].summary["rate"] == 50
    assert graphs["errors_status_codes"].data_points == [{"status_code": 502, "count": 1}]
    assert graphs["latency"].summary["p99"] >= graphs["latency"].summary["p50"]
    assert graphs["feedbacks_scores"].data_points == [{"score": 5, "total": 1}]
    assert graphs["feedbacks_weighted"].summary == {"avg": 3, "avg_exact": 2.5}
    [by_model] = graphs["feedbacks_ai_models"].data_points
    assert (by_model["ai_model"], by_model["total"]) == (MODEL, 1)


def test_the_sdk_s_filters_are_understood(client: Any, asked: dict[str, str]) -> None:
    def total(**filters: Any) -> int:
        found: int = client.analytics.graphs.requests(**asked, **filters).summary["total"]
        return found

    assert total(virtual_keys="demo", api_key_ids=KEY_NAME, workspace_slug="mine") == 1
    assert total(virtual_keys="demo,refusing", total_units_min=1) == 1
    assert total(status_code="502") == 1
    assert total(ai_org_model=f"demo__{MODEL}") == 1
    assert total(configs="pc-none") == 0


def test_groups_and_the_summary_are_read(client: Any, asked: dict[str, str], team: str) -> None:
    users = client.analytics.groups.users(**asked, page_size=5, current_page=0)
    assert (users.total, users.data[0]["user"], users.data[0]["requests"]) == (1, team, "2")
    models = client.analytics.groups.ai_models(**asked)
    assert [group["ai_model"] for group in models.data] == [MODEL]
    values = client.analytics.groups.metadata(metadata_key="team", **asked)
    assert (values.data[0]["metadata_value"], values.data[0]["requests_with_feedback"]) == (team, 1)
    cache = client.analytics.summary.cache(**asked)
    assert (cache.summary["hits"], cache.summary["total_requests"]) == (0, 2)


async def test_the_sdk_for_asyncio_reads_the_same(
    client: Any, async_client: Any, asked: dict[str, str]
) -> None:
    cost = await async_client.analytics.graphs.cost(**asked)
    assert cost.summary == client.analytics.graphs.cost(**asked).summary


def test_what_is_refused_is_an_exception_that_says_why(client: Any, asked: dict[str, str]) -> None:
    with pytest.raises(exceptions.BadRequestError, match="status_code: must be statuses"):
        client.analytics.graphs.requests(**asked, status_code="4xx")
    with pytest.raises(exceptions.NotFoundError):
        client.analytics.groups.workspaces(**asked)
