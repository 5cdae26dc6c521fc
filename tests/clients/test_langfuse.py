"""Langfuse's SDK, pointed at `/langfuse`: its scores are feedback here."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.contract import library
from tests.clients.feedback_gateway import ADMIN_KEY, APP_KEY, FeedbackGateway, gateway, shown

library("langfuse")

__all__ = ["gateway"]

SEEN = ("kind", "metric", "value", "score", "label", "comment", "edited_text", "target")


@pytest.fixture(scope="module")
def langfuse(gateway: FeedbackGateway) -> Iterator[Any]:
    from langfuse import Langfuse

    client = Langfuse(public_key="any", secret_key=APP_KEY, base_url=f"{gateway.url}/langfuse")
    yield client
    client.shutdown()


def test_scores_of_every_type_become_feedback_on_what_they_name(
    gateway: FeedbackGateway, langfuse: Any
) -> None:
    trace, span, session = secrets.token_hex(16), secrets.token_hex(8), f"chat-{secrets.token_hex(4)}"
    gateway.ask(traceparent=f"00-{trace}-{span}-01", Helicone_Request_Id=f"r-{trace}")
    gateway.ask(x_portkey_trace_id=trace, x_session_id=session)

    assert langfuse.auth_check()
    langfuse.create_score(name="liked", value=False, trace_id=trace, comment="Too wet.")
    langfuse.create_score(name="liked", value=True, data_type="BOOLEAN", trace_id=trace, observation_id=span)
    langfuse.create_score(name="mood", value="sad", data_type="CATEGORICAL", session_id=session)
    langfuse.create_score(name="output", value="It will not.", data_type="CORRECTION", trace_id=trace)
    langfuse.create_score(name="note", value="Look again.", data_type="TEXT", trace_id=trace)
    langfuse.create_score(name="length", value=812, trace_id=trace, metadata={"source": "code"})
    langfuse.flush()

    given = gateway.entries(dialect="langfuse")
    assert [shown(entry, *SEEN) for entry in given] == [
        ("rating", "liked", 0, -1, None, "Too wet.", None, "trace"),
        ("thumb", "liked", 1, 1, None, None, None, "request"),
        ("custom", "mood", None, None, "sad", None, None, "session"),
        ("edit", "output", None, None, None, None, "It will not.", "trace"),
        ("comment", "note", None, None, None, "Look again.", None, "trace"),
        ("score", "length", 812, None, None, None, None, "trace"),
    ]
    assert given[1]["request_id"] == f"r-{trace}"
    assert all(entry["joined_at"] for entry in given)


def test_an_id_that_comes_again_is_one_score_in_its_latest_version(
    gateway: FeedbackGateway, langfuse: Any
) -> None:
    from langfuse import Langfuse

    trace = secrets.token_hex(16)
    for value in (0.25, 0.25, 0.75):
        langfuse.create_score(name="good", value=value, trace_id=trace, score_id=f"mine-{trace}")
        langfuse.flush()
    [entry] = gateway.entries(subject_id=trace)
    # Each call of the SDK has a time of its own, so the second is a version too.
    assert [version["score"] for version in gateway.versions(entry["feedback_id"])] == [-0.5, -0.5, 0.5]
    assert entry["joined_at"] is None

    # The SDK has one client for each public key.
    admin = Langfuse(public_key="admin", secret_key=ADMIN_KEY, base_url=f"{gateway.url}/langfuse")
    admin.api.scores.delete(f"mine-{trace}")
    assert gateway.entries(subject_id=trace) == []


def test_what_is_refused_is_told_to_the_sdk_and_keeps_no_other_out(
    gateway: FeedbackGateway, langfuse: Any, caplog: pytest.LogCaptureFixture
) -> None:
    trace = secrets.token_hex(16)
    langfuse.create_score(name="run", value=1, dataset_run_id="run-1")
    langfuse.create_score(name="good", value=1, trace_id=trace)
    langfuse.flush()
    assert [entry["metric"] for entry in gateway.entries(subject_id=trace)] == ["good"]
    assert "rejected 1 of 2 scores" in caplog.text
    assert "datasetRunId is not taken" in caplog.text
