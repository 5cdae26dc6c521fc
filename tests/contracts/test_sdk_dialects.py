"""Feedback in the bodies that SDKs of Langfuse, LangSmith, MLflow and TensorZero send, on a whole gateway."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.gateway_process import RunningGateway

KEYS = {"app": "feedback", "caller": "proxy", "reader": "read", "ops": "admin"}
CONFIG: dict[str, Any] = {
    "keys": [
        *({"name": name, "key": f"{name}-key-0123456789", "role": role} for name, role in KEYS.items()),
        {"name": "north", "key": "north-key-0123456789", "role": "admin", "tenant": "north"},
    ],
    "feedback": {"tokens": {"keys": ["a-secret-of-at-least-32-characters"], "allow_origins": ["*"]}},
}
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
RUN = "e51ce40c-fce0-4ed2-baa4-41b9f5440981"
SCORE = {"id": "s1", "traceId": TRACE, "name": "good", "value": 0.75, "timestamp": "2026-12-01T00:43:14Z"}
ASSESSMENTS = f"/mlflow/api/3.0/mlflow/traces/tr-{TRACE}/assessments"


class Caller:
    """Sends with one key or another, and reads what is there then."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, trust_env=False, timeout=30)
        chat = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}
        headers = {"traceparent": f"00-{TRACE}-{SPAN}-01", "Helicone-Request-Id": RUN}
        asked = self.send("caller", "POST", "/v1/chat/completions", chat, headers)
        self.token = asked.headers["x-gateway-feedback-token"]

    def send(
        self, by: str, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        key = {"x-api-key": f"{by}-key-0123456789"} if by else {}
        return self.http.request(method, path, json=body, headers={**key, **(headers or {})})

    def entries(self, by: str = "ops", **where: str) -> list[dict[str, Any]]:
        """What matches, the oldest first."""
        query = "&".join(f"{name}={value}" for name, value in where.items())
        found = self.send(by, "GET", f"/api/v1/feedback?limit=100&{query}").raise_for_status().json()["data"]
        return list(reversed(found))


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with RunningGateway(tmp_path_factory.mktemp("dialects"), CONFIG, arguments=("--demo",)) as gateway:
        caller = Caller(gateway.url)
        yield caller
        caller.http.close()


def test_a_score_that_is_sent_again_is_one_entry_and_with_another_value_its_next_version(
    caller: Caller,
) -> None:
    basic = {"Authorization": "Basic " + b64encode(b"pk:app-key-0123456789").decode()}
    for value in (0.75, 0.75, 0.25):
        reply = caller.send("", "POST", "/langfuse/api/public/scores", [{**SCORE, "value": value}], basic)
        assert (reply.status_code, reply.json()) == (200, {"message": "Accepted"})
    [entry] = caller.entries(dialect="langfuse")
    assert (entry["score"], entry["trace_id"], entry["version"]) == (-0.5, TRACE, 2)
    moved = caller.send("app", "POST", "/langfuse/api/public/scores", {**SCORE, "traceId": "other"})
    assert (moved.status_code, moved.json()["error"]) == (409, "conflict")
    assert caller.send("ops", "DELETE", "/langfuse/api/public/scores/s1").status_code == 200
    again = caller.send("app", "POST", "/langfuse/api/public/scores", [SCORE])
    assert (again.status_code, again.json()["rejected"]) == (207, 1)
    assert "deleted entry" in again.text


def test_events_of_older_sdks_are_answered_one_by_one(caller: Caller) -> None:
    events = [
        {"id": "e1", "type": "score-create", "body": {"traceId": TRACE, "name": "mood", "value": "glad"}},
        {"id": "e2", "type": "trace-create", "body": {"id": TRACE}},
        {"id": "e3", "type": "score-create", "body": {"name": "mood", "value": "glad"}},
    ]
    reply = caller.send("app", "POST", "/langfuse/api/public/ingestion", {"batch": events})
    assert reply.status_code == 207
    assert [(each["id"], each["status"]) for each in reply.json()["successes"]] == [("e1", 201)]
    assert [(each["id"], each["status"]) for each in reply.json()["errors"]] == [("e2", 400), ("e3", 400)]
    assert [entry["label"] for entry in caller.entries(label="glad")] == ["glad"]


def test_a_browser_gives_scores_with_a_feedback_token_for_its_public_key(caller: Caller) -> None:
    origin = {"Origin": "https://app.example.com", "Access-Control-Request-Headers": "x-langfuse-public-key"}
    allowed = caller.http.options("/langfuse/api/public/ingestion", headers=origin)
    assert "X-Langfuse-Public-Key" in allowed.headers["Access-Control-Allow-Headers"]
    event = {
        "id": "e",
        "type": "score-create",
        "body": {"id": "b", "traceId": TRACE, "name": "tap", "value": 0},
    }
    bearer = {"Authorization": f"Bearer {caller.token}"}
    for _ in range(2):
        reply = caller.send("", "POST", "/langfuse/api/public/ingestion", {"batch": [event]}, bearer)
        assert reply.status_code == 200
    [entry] = caller.entries(author="feedback token")
    assert (entry["metric"], entry["score"], entry["source"]) == ("tap", -1, "human")
    event["body"] = {"traceId": "another", "name": "tap", "value": 0}
    reply = caller.send("", "POST", "/langfuse/api/public/ingestion", {"batch": [event]}, bearer)
    assert reply.status_code == 403


def test_feedback_on_a_run_is_repeated_changed_listed_and_seen_by_other_apis(caller: Caller) -> None:
    feedback_id = "01a22f0e-49a9-776f-adb5-869794347ca4"
    body = {"id": feedback_id, "run_id": RUN, "key": "ls", "score": True, "comment": "Yes."}
    for _ in range(2):
        given = caller.send("app", "POST", "/langsmith/feedback", body)
        assert (given.status_code, given.json()["score"]) == (200, True)
    other = caller.send("app", "POST", "/langsmith/feedback", {**body, "score": False})
    assert (other.status_code, list(other.json())) == (409, ["detail"])
    path = f"/langsmith/feedback/{feedback_id}"
    changed = caller.send("app", "PATCH", path, {"score": 0.25, "comment": None})
    assert (changed.json()["score"], changed.json()["comment"]) == (0.25, None)
    listed = caller.send("reader", "GET", f"/langsmith/feedback?run={RUN}&key=ls").json()
    assert [each["id"] for each in listed] == [feedback_id]
    assert [entry["score"] for entry in caller.entries(dialect="langsmith")] == [-0.5]
    pharia = caller.send("ops", "GET", f"/api/feedback?feedback_id={feedback_id}").json()
    assert len(pharia) == 1
    assert caller.send("app", "DELETE", path).status_code == 403
    assert caller.send("north", "DELETE", path).status_code == 404
    assert caller.send("ops", "DELETE", path).status_code == 200
    project = caller.send("app", "POST", "/langsmith/feedback", {"session_id": RUN, "key": "ls", "score": 1})
    assert (project.status_code, "project" in project.json()["detail"]) == (400, True)


def test_a_link_is_for_its_run_and_key_until_it_expires(caller: Caller) -> None:
    wanted = {"run_id": RUN, "feedback_key": "linked", "expires_in": {"hours": 1}}
    url = caller.send("app", "POST", "/langsmith/feedback/tokens", wanted).json()["url"]
    assert caller.http.head(url).status_code == 405
    assert caller.http.post(url, json={"score": 1, "comment": "By link."}).status_code == 200
    assert caller.http.post(url, json={}).status_code == 400
    [entry] = [each for each in caller.entries(request_id=RUN) if each["metric"] == "linked"]
    assert (entry["score"], entry["comment"], entry["author"]) == (1, "By link.", "feedback token")
    expired = caller.send(
        "app", "POST", "/langsmith/feedback/tokens", {**wanted, "expires_in": {"minutes": 0}}
    ).json()["url"]
    assert caller.http.post(expired, json={"score": 1}).status_code == 401
    unknown = caller.send("app", "POST", "/langsmith/feedback/tokens", {**wanted, "run_id": "unknown"})
    assert unknown.status_code == 404


def test_assessments_are_repeated_changed_and_refused_in_mlflows_words(caller: Caller) -> None:
    assessment = {
        "assessment_name": "liked",
        "source": {"source_type": "HUMAN", "source_id": "ann"},
        "create_time": "2026-12-01T00:43:50.778Z",
        "feedback": {"value": True},
        "span_id": SPAN,
    }
    replies = [caller.send("app", "POST", ASSESSMENTS, {"assessment": assessment}) for _ in range(2)]
    assert len({reply.json()["assessment"]["assessment_id"] for reply in replies}) == 1
    own = f"{ASSESSMENTS}/{replies[0].json()['assessment']['assessment_id']}"
    patch = {"assessment": {"feedback": {"value": "no"}}, "update_mask": "feedback,rationale"}
    assert caller.send("app", "PATCH", own, patch).json()["assessment"]["feedback"] == {"value": "no"}
    [entry] = caller.entries(dialect="mlflow")
    assert (entry["score"], entry["label"], entry["request_id"]) == (-1, "no", RUN)
    wrong = caller.send("app", "PATCH", own, {"assessment": {}, "update_mask": "spanId"})
    assert (wrong.status_code, wrong.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    missing = caller.send("reader", "GET", f"{ASSESSMENTS}/a-1")
    assert (missing.status_code, missing.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    north = caller.send("north", "GET", own)
    assert north.status_code == 404


@pytest.mark.parametrize(
    ("path", "method", "change"),
    [
        ("/langsmith/feedback/{id}", "PATCH", {"comment": "more"}),
        (
            f"{ASSESSMENTS}/{{id}}",
            "PATCH",
            {"assessment": {"rationale": "more"}, "update_mask": "rationale"},
        ),
        (
            ASSESSMENTS,
            "POST",
            {"assessment": {"assessment_name": "x", "feedback": {"value": 5}, "overrides": "{id}",
                            "rationale": "more", "source": {"source_type": "HUMAN", "source_id": "ann"}}},
        ),
    ],
)  # fmt: skip
def test_a_change_of_one_field_keeps_what_another_api_gave(
    caller: Caller, path: str, method: str, change: dict[str, Any]
) -> None:
    given = {"trace_id": TRACE, "value": 5, "weight": 0.5, "metadata": {"team": "north"}}
    [feedback_id] = caller.send("app", "POST", "/v1/feedback", given).json()["feedback_ids"]
    own = "a-" + feedback_id.replace("-", "")
    body = json.loads(json.dumps(change).replace("{id}", own))
    for _ in range(2):
        sent = caller.send(
            "app", method, path.replace("{id}", own if "mlflow" in path else feedback_id), body
        )
        assert sent.status_code == 200, sent.text
    [entry] = caller.entries(feedback_id=feedback_id)
    assert (entry["value"], entry["weight"], entry["score"], entry["comment"]) == (5, 0.5, 0.5, "more")
    assert entry["metadata"] == {"team": "north"}


def test_an_assessment_is_of_its_own_trace_alone(caller: Caller) -> None:
    assessment = {"assessment_name": "mine", "create_time": "2026-12-01T00:43:50Z", "feedback": {"value": 1}}
    given = caller.send("app", "POST", ASSESSMENTS, {"assessment": assessment}).json()["assessment"]
    other = f"{ASSESSMENTS.replace(TRACE, 'f' * 32)}/{given['assessment_id']}"
    patch = {"assessment": {"rationale": "no"}, "update_mask": "rationale"}
    assert [
        caller.send("ops", method, other, body).json()["error_code"]
        for method, body in (("GET", None), ("PATCH", patch), ("DELETE", None))
    ] == ["RESOURCE_DOES_NOT_EXIST"] * 3
    assert caller.send("ops", "GET", f"{ASSESSMENTS}/{given['assessment_id']}").status_code == 200


def test_a_list_takes_several_runs_names_and_sources_and_has_uuids_alone(caller: Caller) -> None:
    run, other = "01a22f0e-49a9-776f-adb5-869794347c01", "01a22f0e-49a9-776f-adb5-869794347c02"
    for run_id, key, source in (
        (run, "a", "api"),
        (run, "b", "model"),
        (other, "c", "api"),
        ("plain", "a", "api"),
    ):
        body = {
            "run_id": run_id,
            "key": key,
            "score": 1,
            "feedback_source": {"type": source, "user_id": "ann"},
        }
        assert caller.send("app", "POST", "/langsmith/feedback", body).status_code == 200
    path = f"/langsmith/feedback?run={run}&run={other}&run=plain&key=a&key=b"
    listed = caller.send("reader", "GET", path).json()
    assert [(each["run_id"], each["key"]) for each in listed] == [(run, "a"), (run, "b"), (None, "a")]
    assert len(caller.send("reader", "GET", f"{path}&source=model&source=api").json()) == 3
    [judged] = caller.send("reader", "GET", f"{path}&source=model").json()
    assert judged["key"] == "b"
    assert {each["author"] for each in caller.entries(subject_id=run)} == {"ann"}


def test_numbers_that_are_none_and_compressed_bodies_are_refused(caller: Caller) -> None:
    scores = [{"traceId": TRACE, "name": "n", "value": value} for value in ("NaN", "-Infinity", "")]
    refused = caller.send("app", "POST", "/langfuse/api/public/scores", scores).json()
    assert (refused["accepted"], refused["rejected"]) == (0, 3)
    assert refused["errors"][0]["message"] == "[0]: value: must be a finite number; got NaN."
    packed = caller.send("app", "POST", "/tensorzero/feedback", {}, {"Content-Encoding": "br"})
    assert (
        packed.json()["error"]
        == "Content-Encoding: must not be br; send the body with gzip or deflate, or uncompressed."
    )


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"inference_id": None}, "needs either inference_id or episode_id"),
        ({"episode_id": RUN}, "needs either inference_id or episode_id"),
        ({"value": "fine"}, "value of a metric must be a boolean or a number"),
        ({"metric_name": "comment"}, "value of a comment must be a text"),
    ],
)
def test_tensorzeros_feedback_that_means_nothing_is_refused(
    caller: Caller, changed: dict[str, Any], fault: str
) -> None:
    body = {"inference_id": RUN, "episode_id": None, "metric_name": "m", "value": True, "dryrun": True}
    assert caller.send("app", "POST", "/tensorzero/feedback", body).status_code == 200
    refused = caller.send("app", "POST", "/tensorzero/feedback", {**body, **changed})
    assert (refused.status_code, fault in refused.json()["error"]) == (400, True)
    assert caller.entries(dialect="tensorzero") == []


def test_a_provider_cannot_have_the_name_of_a_dialect(tmp_path: Any) -> None:
    from gateway.config import load_config
    from gateway.config.errors import ConfigError

    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps({"providers": {"mlflow": {"base_url": "https://llm.example.com"}}}))
    with pytest.raises(ConfigError, match="mlflow"):
        load_config(file, {})
