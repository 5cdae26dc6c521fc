"""Keys that may use so much and no more, whoever of several workers is asked, and across a restart."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import anthropic
import httpx
import openai
import pytest

from gateway.models.clock import format_rfc3339, now_us
from tests import raw_http
from tests.conftest import StartGateway
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, query, read_metrics


def limited_key(name: str, limit: str) -> dict[str, Any]:
    """A key that opens the gateway as NAME-key."""
    return {"name": name, "key": f"{name}-key", "role": "proxy", "limits": [limit]}


KEYS: list[dict[str, Any]] = [
    limited_key("few", "3 requests/day"),
    limited_key("cheap", "0.000001 usd/month"),
    limited_key("terse", "1 tokens/day"),
    *(limited_key(name, "3 requests/day") for name in ("told", "shown", "sdk", "read")),
    {"name": "free", "key": "free-key", "role": ["proxy", "read"]},
    {"name": "reader", "key": "reader-key", "role": "read", "tenant": "acme"},
    {"name": "ops", "key": "ops-key", "role": "admin"},
]
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


def chat(gateway: RunningGateway, key: str) -> httpx.Response:
    headers = {"x-portkey-api-key": key}
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=CHAT, headers=headers, timeout=30)


CONFIG: dict[str, Any] = {"prices": {"demo/gpt-4o-mini": {"input": 1, "output": 1}}, "keys": KEYS}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway that is neither restarted nor reloaded; each test has keys of its own."""
    with RunningGateway(tmp_path_factory.mktemp("limits"), CONFIG, arguments=("--demo",)) as running:
        yield running


@pytest.fixture
def limited(start_gateway: StartGateway) -> RunningGateway:
    return start_gateway(CONFIG, arguments=("--demo",))


def test_a_key_that_has_used_up_its_requests_is_told_when_it_may_go_on(shared: RunningGateway) -> None:
    assert [chat(shared, "few-key").status_code for _ in range(3)] == [200, 200, 200]
    refused = chat(shared, "few-key")
    assert refused.status_code == 429
    resets_at = refused.headers["x-gateway-limit-resets-at"]
    assert datetime.fromisoformat(resets_at) > datetime.now(UTC)
    assert refused.headers["x-should-retry"] == "false"
    assert "retry-after" not in refused.headers
    assert refused.json()["error"] == {
        "message": f"rate limit exceeded for key 'few': 3 requests per day; resets at {resets_at}.",
        "type": "rate_limit_error",
        "param": None,
        "code": "insufficient_quota",
    }
    assert refused.headers["x-portkey-trace-id"]
    assert chat(shared, "free-key").status_code == 200
    assert query(shared.database, "SELECT count(*) FROM requests WHERE key_name = 'few'")[0][0] == 3
    shown = read_metrics(shared.url, authorization="Bearer ops-key")
    assert shown['gateway_requests_refused_total{key="few",reason="insufficient_quota"}'] == 1
    assert shown['gateway_key_limit_used{key="few",limit="3 requests/day"}'] == 3
    assert shown['gateway_key_limit_allowed{key="few",limit="3 requests/day"}'] == 3


def test_answers_tell_how_much_is_left_and_until_when(shared: RunningGateway) -> None:
    told = [chat(shared, "told-key").headers for _ in range(4)]
    assert [one["x-gateway-ratelimit-remaining"] for one in told] == ["2", "1", "0", "0"]
    assert {one["x-gateway-ratelimit-limit"] for one in told} == {"3 requests/day"}
    assert all(0 <= int(one["x-gateway-ratelimit-reset"]) <= 86_400 for one in told)
    assert not any(name.startswith("x-gateway-ratelimit") for name in chat(shared, "free-key").headers)


def test_a_key_is_shown_with_what_it_used_to_its_holder_and_to_readers(shared: RunningGateway) -> None:
    chat(shared, "shown-key")
    own = httpx.get(f"{shared.url}/api/v1/key", headers={"x-portkey-api-key": "shown-key"}).json()
    [limit] = own.pop("limits")
    assert own == {"name": "shown", "source": "file", "roles": ["proxy"], "tenant": None}
    assert limit.pop("resets_at") > format_rfc3339(now_us())
    assert limit == {
        "limit": "3 requests/day",
        "unit": "requests",
        "window": "day",
        "allowed": 3,
        "used": 1,
        "remaining": 2,
    }
    assert (
        httpx.get(f"{shared.url}/api/v1/keys", headers={"x-portkey-api-key": "shown-key"}).status_code == 403
    )
    listed = httpx.get(f"{shared.url}/api/v1/keys", headers={"x-portkey-api-key": "free-key"}).json()["data"]
    assert [key["name"] for key in listed] == [key["name"] for key in KEYS]
    limits = {key["name"]: [(limit["limit"], limit["used"]) for limit in key["limits"]] for key in listed}
    assert limits["shown"] == [("3 requests/day", 1)]
    assert (limits["free"], limits["cheap"][0][0]) == ([], "0.000001 usd/month")


def test_refused_calls_are_counted_by_key_and_reason(shared: RunningGateway) -> None:
    assert chat(shared, "no-key").status_code == 401
    assert chat(shared, "reader-key").status_code == 403
    nowhere = httpx.get(f"{shared.url}/nowhere/v1/models", headers={"x-portkey-api-key": "free-key"})
    assert nowhere.status_code == 404
    shown = read_metrics(shared.url, authorization="Bearer ops-key")
    for key, reason in (("", "unauthorized"), ("reader", "forbidden"), ("free", "not_found")):
        assert shown[f'gateway_requests_refused_total{{key="{key}",reason="{reason}"}}'] == 1


def test_calls_to_no_model_fill_no_limit_of_requests_and_are_no_errors_in_figures(
    limited: RunningGateway,
) -> None:
    headers = {"x-portkey-api-key": "few-key"}
    no_calls = [
        ("GET", "/v1/models"), ("HEAD", "/v1/chat/completions"), ("GET", "/demo/api/tags"),
        ("POST", "/demo/v1/messages/count_tokens"), ("GET", "/demo/v1/tcp_warming"),
    ]  # fmt: skip
    for method, path in no_calls:
        httpx.request(method, limited.url + path, headers=headers, timeout=30)
    assert httpx.get(f"{limited.url}/v1/nonsense", headers=headers, timeout=30).status_code == 404
    assert [chat(limited, "few-key").status_code for _ in range(3)] == [200, 200, 429]
    for disguised in (b"/v1/models/m:generate%43ontent", b"/v1/models/m/infer", b"/v1/messages#/api/show"):
        refused = raw_http.call(
            limited.port, raw_http.request(b"POST", disguised, b"x-portkey-api-key: few-key", body=b"{}")
        )
        assert refused.status == 429
    asked = {"group_by": "key_name"}
    found = httpx.get(
        f"{limited.url}/api/v1/aggregates", params=asked, headers={"authorization": "Bearer ops-key"}
    ).json()["data"]
    [row] = [row for row in found if row["group"] == "few"]
    assert (row["requests"], row["errors"]) == (len(no_calls) + 3, 1)


@pytest.mark.parametrize(("key", "status"), [("cheap", 402), ("terse", 429)])
def test_a_key_that_has_used_up_its_money_or_tokens_is_refused_once_that_is_known(
    shared: RunningGateway, key: str, status: int
) -> None:
    assert chat(shared, f"{key}-key").status_code == 200
    eventually(lambda: chat(shared, f"{key}-key").status_code == status)


def test_sdks_raise_their_own_errors_at_once(shared: RunningGateway) -> None:
    for _ in range(3):
        chat(shared, "sdk-key")
    refused = 'gateway_requests_refused_total{key="sdk",reason="insufficient_quota"}'
    with pytest.raises(openai.RateLimitError, match="3 requests per day"):
        openai.OpenAI(base_url=f"{shared.url}/v1", api_key="sdk-key").completions.create(
            model="m", prompt="hi"
        )
    with pytest.raises(anthropic.RateLimitError, match="3 requests per day"):
        anthropic.Anthropic(base_url=shared.url, api_key="sdk-key").messages.create(
            model="m", max_tokens=1, messages=[{"role": "user", "content": "hi"}]
        )
    # Neither tried again.
    assert read_metrics(shared.url, authorization="Bearer ops-key")[refused] == 2


def test_a_tenant_s_key_sees_no_figures_and_no_keys_of_others(shared: RunningGateway) -> None:
    refused = httpx.get(f"{shared.url}/metrics", headers={"x-portkey-api-key": "reader-key"})
    assert refused.status_code == 403
    own = httpx.get(f"{shared.url}/api/v1/keys", headers={"x-portkey-api-key": "reader-key"}).json()["data"]
    assert [key["name"] for key in own] == ["reader"]


def test_what_was_used_is_remembered_across_a_restart(limited: RunningGateway) -> None:
    for _ in range(3):
        chat(limited, "few-key")
    limited.stop()
    limited.start()
    assert chat(limited, "few-key").status_code == 429


def test_workers_share_a_limit(start_gateway: StartGateway) -> None:
    keys = [{**KEYS[0], "limits": ["10 requests/day"]}]
    gateway = start_gateway({**CONFIG, "server": {"workers": 2}, "keys": keys}, arguments=("--demo",))
    eventually(lambda: chat(gateway, "few-key").status_code == 429)
    eventually(lambda: all(chat(gateway, "few-key").status_code == 429 for _ in range(10)))


def test_a_reload_changes_limits_and_forgets_nothing(limited: RunningGateway) -> None:
    for _ in range(3):
        assert chat(limited, "few-key").status_code == 200
    more = [{**key, "limits": ["4 requests/day"]} if key["name"] == "few" else key for key in KEYS]
    limited.write_config({**CONFIG, "keys": more})
    limited.signal(signal.SIGHUP)
    eventually(lambda: chat(limited, "few-key").status_code == 200)
    assert chat(limited, "few-key").status_code == 429


def test_what_is_read_is_not_limited(shared: RunningGateway) -> None:
    for _ in range(4):
        chat(shared, "read-key")
    found = httpx.get(f"{shared.url}/api/v1/requests", headers={"x-portkey-api-key": "free-key"})
    assert [row["key_name"] for row in json.loads(found.text)["data"]].count("read") == 3
