"""TensorZero's client, pointed at `/tensorzero`: its feedback is feedback here."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from gateway.models.ids import new_id
from tests.clients.contract import library
from tests.clients.feedback_gateway import APP_KEY, FeedbackGateway, gateway, shown

library("tensorzero")

__all__ = ["gateway"]

SEEN = ("kind", "metric", "value", "score", "comment", "edited_text", "author")


def test_metrics_comments_and_demonstrations_become_feedback(gateway: FeedbackGateway) -> None:
    from tensorzero import TensorZeroError, TensorZeroGateway

    inference, episode = UUID(new_id()), UUID(new_id())
    gateway.ask(Helicone_Request_Id=str(inference), x_portkey_trace_id=str(episode))
    on: dict[str, Any] = {"inference_id": inference}
    with TensorZeroGateway.build_http(gateway_url=f"{gateway.url}/tensorzero", api_key=APP_KEY) as client:
        client.feedback(metric_name="liked", value=True, tags={"user_id": "ann"}, **on)
        client.feedback(metric_name="good", value=0.25, episode_id=episode)
        client.feedback(metric_name="clicks", value=7.0, **on)
        client.feedback(metric_name="comment", value="Too wet.", **on)
        block = {"type": "text", "text": "It will not."}
        client.feedback(metric_name="demonstration", value=[block], **on)
        tried = client.feedback(metric_name="liked", value=True, dryrun=True, **on)
        assert tried.feedback_id
        with pytest.raises(TensorZeroError, match="value of a comment must be a text") as refused:
            client.feedback(metric_name="comment", value=5.0, **on)
        assert refused.value.status_code == 400

    given = gateway.entries(dialect="tensorzero")
    assert [shown(entry, *SEEN) for entry in given] == [
        ("thumb", "liked", 1, 1, None, None, "ann"),
        ("rating", "good", 0.25, -0.5, None, None, None),
        ("rating", "clicks", 7, None, None, None, None),
        ("comment", "comment", None, None, "Too wet.", None, None),
        ("edit", "demonstration", None, None, None, "It will not.", None),
    ]
    assert [entry["target"] for entry in given] == ["request", "trace", "request", "request", "request"]
