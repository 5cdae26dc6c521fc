"""MLflow, as it shows what a gateway tells it: who asked what for how much, and feedback by its own API."""

from __future__ import annotations

import json
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

library("mlflow")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * START_SECONDS)]


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
    environment = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with serving(folder, f"{url}/health", arguments, environment):
        yield from client_of(url)


@pytest.fixture(scope="module")
def to_mlflow(mlflow: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway that tells MLflow everything."""
    telemetry = {
        "otlp_endpoint": url_of(mlflow),
        "headers": {"x-mlflow-experiment-id": "0"},
        "payloads": True,
        "feedback": {"to": "mlflow"},
    }
    yield from telling_gateway(tmp_path_factory, telemetry)


def shown(mlflow: httpx.Client, trace: str) -> dict[str, Any]:
    """What MLflow shows of a trace; nothing while it is not there."""
    answer = mlflow.get(f"/api/3.0/mlflow/traces/tr-{trace}")
    return dict(answer.json()["trace"]["trace_info"]) if answer.is_success else {}


def test_it_shows_who_asked_what_for_how_much(to_mlflow: RunningGateway, mlflow: httpx.Client) -> None:
    trace = f"{1:032x}"
    answer = chat(to_mlflow, trace).json()
    info = eventually(lambda: shown(mlflow, trace))
    metadata = info["trace_metadata"]
    assert (metadata["mlflow.trace.user"], metadata["mlflow.trace.session"]) == ("ann", "talk")
    assert json.loads(metadata["mlflow.trace.cost"])["total_cost"] == answer["usage"]["prompt_tokens"]
    assert QUESTION in info["request_preview"]
    assert answer["choices"][0]["message"]["content"][:40] in info["response_preview"]


def test_it_has_each_entry_once_as_it_is_in_the_end(to_mlflow: RunningGateway, mlflow: httpx.Client) -> None:
    trace = f"{2:032x}"
    # As a part of a trace of the caller's, whose own spans are not there.
    chat(to_mlflow, trace, traceparent=f"00-{trace}-{9:016x}-01")
    given = give(to_mlflow, trace)
    [first] = eventually(lambda: list(shown(mlflow, trace).get("assessments", [])))
    assert (first["feedback"]["value"], first["rationale"]) == (1.0, COMMENT)
    assert first["source"]["source_type"] == "HUMAN"
    patch(to_mlflow, given, 1)
    eventually(lambda: shown(mlflow, trace)["assessments"][0]["feedback"]["value"] == -1.0)
    assert len(shown(mlflow, trace)["assessments"]) == 1
    delete(to_mlflow, given)
    eventually(lambda: not shown(mlflow, trace).get("assessments"))
