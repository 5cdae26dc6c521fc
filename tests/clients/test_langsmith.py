"""LangSmith's SDK, pointed at `/langsmith`: its feedback is feedback here."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from gateway.models.ids import new_id
from tests.clients.contract import library
from tests.clients.feedback_gateway import ADMIN_KEY, APP_KEY, FeedbackGateway, gateway, shown

library("langsmith")

__all__ = ["gateway"]

pytestmark = pytest.mark.filterwarnings("ignore:Creating feedback for a run without session_id")

SEEN = ("kind", "metric", "value", "score", "label", "comment", "edited_text", "author", "source")


def client_of(gateway: FeedbackGateway, key: str) -> Any:
    from langsmith import Client

    return Client(api_url=f"{gateway.url}/langsmith", api_key=key)


def test_feedback_is_given_changed_read_and_deleted(gateway: FeedbackGateway) -> None:
    client, admin = client_of(gateway, APP_KEY), client_of(gateway, ADMIN_KEY)
    trace, run = UUID(new_id()), UUID(new_id())
    gateway.ask(x_portkey_trace_id=str(trace), Helicone_Request_Id=str(run))
    source = {"user_id": "ann"}

    thumb = client.create_feedback(
        run, "liked", score=True, value="good", comment="Yes.", source_info=source, trace_id=trace
    )
    client.create_feedback(
        trace_id=trace, key="stars", score=4, feedback_config={"type": "continuous", "min": 1, "max": 5}
    )
    client.create_feedback(run, "judge", score=1 / 3, feedback_source_type="model")
    edit = client.create_feedback(run, "edit", correction={"output": "It will not."})
    client.update_feedback(thumb.id, score=0, comment=None)

    given = gateway.entries(dialect="langsmith")
    assert [shown(entry, *SEEN) for entry in given] == [
        ("rating", "liked", 0, -1, "good", None, None, "ann", "human"),
        ("rating", "stars", 4, 0.5, None, None, None, None, "human"),
        # The SDK rounds scores to four places.
        ("score", "judge", 0.3333, pytest.approx(-0.3334), None, None, None, None, "model"),
        ("edit", "edit", None, None, None, None, "It will not.", None, "human"),
    ]
    assert [entry["target"] for entry in given] == ["request", "trace", "request", "request"]
    assert client.read_feedback(edit.id).correction == {"output": "It will not."}
    assert [each.key for each in client.list_feedback(run_ids=[run], feedback_key=["liked"])] == ["liked"]
    admin.delete_feedback(edit.id)
    assert len(gateway.entries(dialect="langsmith")) == 3


def test_feedback_waits_for_its_run_without_being_tried_again(gateway: FeedbackGateway) -> None:
    run = UUID(new_id())
    client_of(gateway, APP_KEY).create_feedback(run, "early", score=1, stop_after_attempt=1)
    [entry] = gateway.entries(subject_id=str(run))
    assert entry["joined_at"] is None


def test_a_link_takes_feedback_on_its_run(gateway: FeedbackGateway) -> None:
    run = UUID(new_id())
    gateway.ask(Helicone_Request_Id=str(run))
    made = client_of(gateway, APP_KEY).create_presigned_feedback_token(
        run, "liked", expiration=timedelta(hours=1)
    )
    httpx.head(made.url)
    assert gateway.entries(request_id=str(run)) == []
    httpx.get(made.url, params={**httpx.URL(made.url).params, "score": "1"}).raise_for_status()
    [entry] = gateway.entries(request_id=str(run))
    assert shown(entry, "metric", "score", "source", "key_name") == ("liked", 1, "human", "app")
