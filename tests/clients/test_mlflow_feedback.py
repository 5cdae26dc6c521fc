"""MLflow's client, pointed at `/mlflow`: its assessments are feedback here."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from tests.clients.contract import library
from tests.clients.feedback_gateway import ADMIN_KEY, APP_KEY, FeedbackGateway, gateway, shown

library("mlflow")

__all__ = ["gateway"]

SEEN = ("kind", "metric", "value", "score", "label", "comment", "edited_text", "author", "source")


@pytest.fixture
def mlflow(gateway: FeedbackGateway, monkeypatch: pytest.MonkeyPatch) -> Any:
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", APP_KEY)
    mlflow.set_tracking_uri(f"{gateway.url}/mlflow")
    return mlflow


def test_assessments_are_logged_changed_overridden_and_deleted(
    gateway: FeedbackGateway, mlflow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.entities import AssessmentError, AssessmentSource, Feedback

    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    gateway.ask(traceparent=f"00-{trace}-{span}-01")
    on, ann, judge = (
        {"trace_id": f"tr-{trace}"},
        AssessmentSource("HUMAN", "ann"),
        AssessmentSource("LLM_JUDGE", "j"),
    )

    liked = mlflow.log_feedback(**on, name="liked", value=True, source=ann, rationale="Yes.", span_id=span)
    mlflow.log_feedback(**on, name="safe", value="no", source=judge)
    failed = AssessmentError(error_code="TIMEOUT", error_message="No answer.")
    mlflow.log_feedback(**on, name="slow", error=failed)
    mlflow.log_expectation(**on, name="expected_response", value="It will not.", source=ann)
    mlflow.log_expectation(**on, name="expected_facts", value=["dry"], source=ann)
    changed = Feedback(name="liked", value=False, rationale="No.")
    mlflow.update_assessment(**on, assessment_id=liked.assessment_id, assessment=changed)

    given = gateway.entries(dialect="mlflow")
    assert [shown(entry, *SEEN) for entry in given] == [
        ("thumb", "liked", 0, -1, None, "No.", None, "ann", "human"),
        ("score", "safe", 0, -1, "no", None, None, "j", "model"),
        ("custom", "slow", None, None, "TIMEOUT", "No answer.", None, None, "code"),
        ("edit", "expected_response", None, None, None, None, "It will not.", "ann", "human"),
        ("custom", "expected_facts", None, None, None, None, None, "ann", "human"),
    ]
    assert given[-1]["metadata"] == {"expectation": ["dry"]}
    assert [entry["target"] for entry in given[:2]] == ["request", "trace"]

    overridden = mlflow.override_feedback(**on, assessment_id=liked.assessment_id, value=0.75, source=ann)
    assert (overridden.assessment_id, overridden.value) == (liked.assessment_id, 0.75)
    versions = gateway.versions(given[0]["feedback_id"])
    assert [version["score"] for version in versions] == [1, -1, 0.5]
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", ADMIN_KEY)
    mlflow.delete_assessment(**on, assessment_id=liked.assessment_id)
    assert len(gateway.entries(dialect="mlflow")) == 4


def test_an_assessment_that_is_not_there_is_told(mlflow: Any) -> None:
    with pytest.raises(mlflow.exceptions.MlflowException, match="no feedback entry has the id") as refused:
        mlflow.get_assessment("tr-1", "a-" + "0" * 32)
    assert refused.value.error_code == "RESOURCE_DOES_NOT_EXIST"
