"""Phoenix and MLflow, as they show what a gateway tells them: spans, and feedback by their own APIs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.clients.contract import library
from tests.clients.trace_servers import START_SECONDS, serving
from tests.houses import closed_port
from tests.log_reader import eventually
from tests.running import RunningGateway

library("phoenix")
library("mlflow")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * START_SECONDS)]

QUESTION = "Will it rain?"
CHAT = {"model": "demo-1", "messages": [{"role": "user", "content": QUESTION}]}
METADATA = json.dumps({"_user": "ann", "_session": "talk", "_prompt": "weather@3"})
PRICES = {"demo-1": {"input": 1_000_000, "output": 0}}
HASTE = {"OTEL_BSP_SCHEDULE_DELAY": "50"}
COMMENT = "It did."


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
        yield from _client(url)


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """MLflow's own API."""
    folder, port = tmp_path_factory.mktemp("mlflow"), closed_port()
    arguments = ["mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    arguments += [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        str(folder),
    ]
    url = f"http://127.0.0.1:{port}"
    with serving(folder, f"{url}/health", arguments, {"MLFLOW_DISABLE_TELEMETRY": "true"}):
        yield from _client(url)


def _client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def to_phoenix(phoenix: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway that tells Phoenix everything."""
    telemetry = {"otlp_endpoint": _url(phoenix), "payloads": True, "feedback": {"to": "phoenix"}}
    yield from _gateway(telemetry, tmp_path_factory)


@pytest.fixture(scope="module")
def to_mlflow(mlflow: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway that tells MLflow everything."""
    telemetry = {
        "otlp_endpoint": _url(mlflow),
        "headers": {"x-mlflow-experiment-id": "0"},
        "payloads": True,
        "feedback": {"to": "mlflow"},
    }
    yield from _gateway(telemetry, tmp_path_factory)


def _url(client: httpx.Client) -> str:
    return str(client.base_url).rstrip("/")


def _gateway(telemetry: dict[str, Any], folders: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    config = {"prices": PRICES, "telemetry": telemetry}
    with RunningGateway(
        folders.mktemp("gateway"), config, arguments=("--demo",), environment=HASTE
    ) as running:
        yield running


def chat(gateway: RunningGateway, trace: str, **headers: str) -> httpx.Response:
    """Ask something in a trace, whose id is 32 hex digits."""
    fields = {"x-portkey-trace-id": trace, "x-portkey-metadata": METADATA, **headers}
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=CHAT, headers=fields, timeout=60)
    return answer.raise_for_status()


def give(gateway: RunningGateway, trace: str) -> str:
    """Give feedback on a trace at once, before its span can have arrived, and return its id."""
    vote = {"trace_id": trace, "feedback": {"rating": 5, "comment": COMMENT}}
    given = httpx.post(f"{gateway.url}/api/feedback", json=vote, timeout=60).raise_for_status()
    return str(given.json()["feedback_id"])


def patch(gateway: RunningGateway, given: str, rating: int) -> None:
    url = f"{gateway.url}/api/feedback/{given}"
    httpx.patch(url, json={"feedback": {"rating": rating}}, timeout=60).raise_for_status()


def delete(gateway: RunningGateway, given: str) -> None:
    httpx.delete(f"{gateway.url}/api/feedback/{given}", timeout=60).raise_for_status()


def annotated(phoenix: httpx.Client, kind: str, subject: str) -> list[dict[str, Any]]:
    """What Phoenix shows of a span or a trace."""
    answer = phoenix.get(f"/v1/projects/default/{kind}_annotations", params={f"{kind}_ids": subject})
    return list(answer.json()["data"]) if answer.is_success else []


def shown(mlflow: httpx.Client, trace: str) -> dict[str, Any]:
    """What MLflow shows of a trace; nothing while it is not there."""
    answer = mlflow.get(f"/api/3.0/mlflow/traces/tr-{trace}")
    return dict(answer.json()["trace"]["trace_info"]) if answer.is_success else {}


def test_phoenix_shows_who_asked_what_and_what_was_answered(
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


def test_phoenix_has_each_entry_once_as_it_is_in_the_end(
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


def test_phoenix_shows_feedback_on_a_request_at_its_span(
    to_phoenix: RunningGateway, phoenix: httpx.Client
) -> None:
    span = f"{7:016x}"
    answer = chat(to_phoenix, f"{3:032x}", **{"x-portkey-span-id": span})
    request = f"{to_phoenix.url}/v1/request/{answer.headers['helicone-id']}/feedback"
    httpx.post(request, json={"rating": False}, timeout=60).raise_for_status()
    [thumb] = eventually(lambda: annotated(phoenix, "span", span))
    assert (thumb["name"], thumb["result"]["score"]) == ("rating", -1.0)


def test_mlflow_shows_who_asked_what_for_how_much(to_mlflow: RunningGateway, mlflow: httpx.Client) -> None:
    trace = f"{1:032x}"
    answer = chat(to_mlflow, trace).json()
    info = eventually(lambda: shown(mlflow, trace))
    metadata = info["trace_metadata"]
    assert (metadata["mlflow.trace.user"], metadata["mlflow.trace.session"]) == ("ann", "talk")
    assert json.loads(metadata["mlflow.trace.cost"])["total_cost"] == answer["usage"]["prompt_tokens"]
    assert QUESTION in info["request_preview"]
    assert answer["choices"][0]["message"]["content"][:40] in info["response_preview"]


def test_mlflow_has_each_entry_once_as_it_is_in_the_end(
    to_mlflow: RunningGateway, mlflow: httpx.Client
) -> None:
    trace = f"{2:032x}"
    chat(to_mlflow, trace)
    given = give(to_mlflow, trace)
    [first] = eventually(lambda: list(shown(mlflow, trace).get("assessments", [])))
    assert (first["feedback"]["value"], first["rationale"]) == (1.0, COMMENT)
    assert first["source"]["source_type"] == "HUMAN"
    patch(to_mlflow, given, 1)
    eventually(lambda: shown(mlflow, trace)["assessments"][0]["feedback"]["value"] == -1.0)
    assert len(shown(mlflow, trace)["assessments"]) == 1
    delete(to_mlflow, given)
    eventually(lambda: not shown(mlflow, trace).get("assessments"))
