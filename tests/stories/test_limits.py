"""Keys that may use so much and no more, whoever of several workers is asked, and across a restart."""

from __future__ import annotations

import json
import signal
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.conftest import StartGateway
from tests.log_reader import eventually, figures, query
from tests.running import RunningGateway

KEYS: list[dict[str, Any]] = [
    {"name": "few", "key": "few-key", "role": "proxy", "limits": ["3 requests/day"]},
    {"name": "cheap", "key": "cheap-key", "role": "proxy", "limits": ["0.000001 usd/month"]},
    {"name": "terse", "key": "terse-key", "role": "proxy", "limits": ["1 tokens/day"]},
    {"name": "free", "key": "free-key", "role": ["proxy", "read"]},
    {"name": "ops", "key": "ops-key", "role": "admin"},
]
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


def chat(gateway: RunningGateway, key: str) -> httpx.Response:
    headers = {"x-portkey-api-key": key}
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=CHAT, headers=headers, timeout=30)


CONFIG: dict[str, Any] = {"prices": {"demo/gpt-4o-mini": {"input": 1, "output": 1}}, "keys": KEYS}


@pytest.fixture
def limited(start_gateway: StartGateway) -> RunningGateway:
    return start_gateway(CONFIG, arguments=("--demo",))


def test_a_key_that_has_used_up_its_requests_is_told_when_it_may_go_on(limited: RunningGateway) -> None:
    assert [chat(limited, "few-key").status_code for _ in range(3)] == [200, 200, 200]
    refused = chat(limited, "few-key")
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    assert refused.json()["error"] == {
        "message": "the key 'few' may use 3 requests/day, which it has.",
        "type": "rate_limit_error",
        "param": None,
        "code": "too_many_requests",
    }
    assert refused.headers["x-portkey-trace-id"]
    assert chat(limited, "free-key").status_code == 200
    assert query(limited.database, "SELECT count(*) FROM requests WHERE key_name = 'few'")[0][0] == 3
    assert figures(limited.url, authorization="Bearer ops-key")["gateway_requests_limited_total"] == 1


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
    asked = {"group_by": "key_name"}
    found = httpx.get(
        f"{limited.url}/api/v1/aggregates", params=asked, headers={"authorization": "Bearer ops-key"}
    ).json()["data"]
    [row] = [row for row in found if row["group"] == "few"]
    assert (row["requests"], row["errors"]) == (len(no_calls) + 3, 1)


@pytest.mark.parametrize("key", ["cheap", "terse"])
def test_a_key_that_has_used_up_its_money_or_tokens_is_refused_once_that_is_known(
    limited: RunningGateway, key: str
) -> None:
    assert chat(limited, f"{key}-key").status_code == 200
    eventually(lambda: chat(limited, f"{key}-key").status_code == 429)


def test_sdks_see_their_own_errors(limited: RunningGateway) -> None:
    for _ in range(3):
        chat(limited, "few-key")
    with pytest.raises(openai.RateLimitError, match="3 requests/day"):
        openai.OpenAI(base_url=f"{limited.url}/v1", api_key="few-key", max_retries=0).completions.create(
            model="m", prompt="hi"
        )
    with pytest.raises(anthropic.RateLimitError, match="3 requests/day"):
        anthropic.Anthropic(base_url=limited.url, api_key="few-key", max_retries=0).messages.create(
            model="m", max_tokens=1, messages=[{"role": "user", "content": "hi"}]
        )


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


def test_what_is_read_is_not_limited(limited: RunningGateway) -> None:
    for _ in range(4):
        chat(limited, "few-key")
    found = httpx.get(f"{limited.url}/api/v1/requests", headers={"x-portkey-api-key": "free-key"})
    assert len(json.loads(found.text)["data"]) == 3
