"""Phoenix, as it shows what a gateway tells it: spans, and feedback by its own API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.clients.contract import library
from tests.clients.trace_servers import (
    COMMENT,
    QUESTION,
    START_SECONDS,
    chat,
    client_of,
    delete,
    give,
    patch,
    serving,
    telling_gateway,
    url_of,
)
from tests.gateway_fixtures import closed_port
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually

library("phoenix")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * START_SECONDS)]


@pytest.fixture(scope="module")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Phoenix' own API."""
    folder, port = tmp_path_factory.mktemp("phoenix"), closed_port()
    environment = {
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(closed_port()),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    url = f"http://127.0.0.1:{port}"
    with serving(folder, f"{url}/healthz", ["phoenix.server.main", "serve"], environment):
        yield from client_of(url)


@pytest.fixture(scope="module")
def to_phoenix(phoenix: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway that tells Phoenix everything."""
    telemetry = {"otlp_endpoint": url_of(phoenix), "payloads": True, "feedback": {"to": "phoenix"}}
    yield from telling_gateway(tmp_path_factory, telemetry)


def annotated(phoenix: httpx.Client, kind: str, subject: str) -> list[dict[str, Any]]:
    """What Phoenix shows of a span or a trace."""
    answer = phoenix.get(f"/v1/projects/default/{kind}_annotations", params={f"{kind}_ids": subject})
    return list(answer.json()["data"]) if answer.is_success else []


def test_it_shows_who_asked_what_and_what_was_answered(
    to_phoenix: RunningGateway, phoenix: httpx.Client
) -> None:
    trace = f"{1:032x}"
    answer = chat(to_phoenix, trace).json()
    [span] = eventually(
        lambda: phoenix.get("/v1/projects/default/spans", params={"trace_id": trace}).json().get("data")
    )
    said = answer["choices"][0]["message"]["content"]
    expected = {
        "user.id": "ann",
        "session.id": "talk",
        "llm.model_name": "demo-1",
        "llm.token_count.prompt": answer["usage"]["prompt_tokens"],
        "llm.input_messages.0.message.content": QUESTION,
        "llm.output_messages.0.message.content": said,
    }
    assert expected.items() <= span["attributes"].items()
    assert span["span_kind"] == "LLM"


def test_it_has_each_entry_once_as_it_is_in_the_end(
    to_phoenix: RunningGateway, phoenix: httpx.Client
) -> None:
    trace = f"{2:032x}"
    chat(to_phoenix, trace)
    given = give(to_phoenix, trace)
    [first] = eventually(lambda: annotated(phoenix, "trace", trace))
    assert (first["identifier"], first["annotator_kind"]) == (given, "HUMAN")
    assert first["result"] == {"label": "positive", "score": 1.0, "explanation": COMMENT}
    patch(to_phoenix, given, 1)
    eventually(lambda: annotated(phoenix, "trace", trace)[0]["result"]["score"] == -1.0)
    assert len(annotated(phoenix, "trace", trace)) == 1
    delete(to_phoenix, given)
    eventually(lambda: not annotated(phoenix, "trace", trace))


def test_it_shows_feedback_on_a_request_at_its_span(
    to_phoenix: RunningGateway, phoenix: httpx.Client
) -> None:
    span = f"{7:016x}"
    answer = chat(to_phoenix, f"{3:032x}", **{"x-portkey-span-id": span})
    request = f"{to_phoenix.url}/v1/request/{answer.headers['helicone-id']}/feedback"
    httpx.post(request, json={"rating": False}, timeout=60).raise_for_status()
    [thumb] = eventually(lambda: annotated(phoenix, "span", span))
    assert (thumb["name"], thumb["result"]["score"]) == ("rating", -1.0)
