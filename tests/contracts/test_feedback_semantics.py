"""What becomes of votes that are taken back, given again, or given by several measures, on a whole gateway."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.gateway_process import RunningGateway
from tests.log_reader import eventually

CHAT = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a gateway without keys, on which everybody may do everything."""
    with (
        RunningGateway(tmp_path_factory.mktemp("votes"), {}, arguments=("--demo",)) as gateway,
        httpx.Client(base_url=gateway.url, trust_env=False) as client,
    ):
        yield client


@dataclass(frozen=True)
class Asked:
    """A request that was answered: its trace, its own id, and its provider's."""

    http: httpx.Client
    trace_id: str
    request_id: str
    response_id: str

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        """Call a path; that must succeed. Underscores in names of headers become hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.request(method, path, json=body, headers=named).raise_for_status().json()

    def grade(self, value: int) -> str:
        """Give a grade in Portkey's dialect."""
        [feedback_id] = self.call("POST", "/v1/feedback", {"trace_id": self.trace_id, "value": value})[
            "feedback_ids"
        ]
        return str(feedback_id)

    def rate(self, rating: bool, any_id: str | None = None) -> None:
        """Give a thumb in Helicone's dialect, as Ann."""
        path = f"/v1/request/{any_id or self.request_id}/feedback"
        self.call("POST", path, {"rating": rating}, Helicone_User_Id="ann")

    def row(self) -> Any:
        """The request as Helicone's dialect shows it."""
        return self.call("GET", f"/v1/request/{self.request_id}")["data"]

    def trace(self) -> Any:
        return self.call("GET", f"/api/v1/traces/{self.trace_id}")

    def history(self, feedback_id: str) -> list[tuple[float, str, bool]]:
        """Value, dialect and whether it stands, of each version of an entry."""
        versions = self.call("GET", f"/api/v1/feedback/{feedback_id}")["versions"]
        return [(each["value"], each["dialect"], each["deleted_at"] is None) for each in versions]


@pytest.fixture
def asked(http: httpx.Client) -> Asked:
    """A request that nobody has judged."""
    trace_id = f"votes-{secrets.token_hex(8)}"
    reply = http.post("/v1/chat/completions", json=CHAT, headers={"x-portkey-trace-id": trace_id})
    found = Asked(http, trace_id, reply.headers["helicone-id"], reply.json()["id"])
    eventually(lambda: http.get(f"/api/v1/requests/{found.response_id}").is_success)
    return found


def test_a_weight_of_0_takes_a_grade_out_of_the_mean_and_a_withdrawal_out_of_the_count(asked: Asked) -> None:
    good, bad = asked.grade(10), asked.grade(-10)
    assert asked.trace()["score"]["weighted_mean"] == 0

    asked.call("PUT", f"/v1/feedback/{bad}", {"weight": 0})
    assert (asked.trace()["score"]["weighted_mean"], asked.trace()["score"]["count"]) == (1, 2)

    asked.call("DELETE", f"/api/feedback/{bad}")
    assert (asked.trace()["score"]["weighted_mean"], asked.trace()["score"]["count"]) == (1, 1)
    asked.call("DELETE", f"/api/v1/feedback/{good}")
    assert asked.trace()["score"]["count"] == 0
    assert asked.history(good) == [(10, "portkey", True), (10, "native", False)]
    assert asked.http.get(f"/api/v1/feedback/{bad}").status_code == 404


def test_a_grade_after_a_withdrawal_is_an_entry_of_its_own(asked: Asked) -> None:
    first = asked.grade(1)
    asked.call("DELETE", f"/api/v1/feedback/{first}")

    second = asked.grade(1)

    assert [entry["feedback_id"] for entry in asked.trace()["feedback"]] == [second]
    assert len(asked.history(first)) == 2


@pytest.mark.parametrize(
    ("path", "kept"), [("/api/v1/feedback", [(1, True), (1, False)]), ("/api/feedback", [])]
)
def test_a_rating_is_withdrawn_by_the_id_in_its_row_and_stands_again_when_it_is_given_again(
    asked: Asked, path: str, kept: list[tuple[float, bool]]
) -> None:
    asked.rate(True)
    feedback_id = asked.row()["feedback_id"]

    asked.call("DELETE", f"{path}/{feedback_id}")
    row = asked.row()
    assert (row["feedback_id"], row["feedback_rating"], row["feedback_created_at"]) == (None, None, None)
    assert asked.trace()["score"]["count"] == 0

    asked.rate(False, asked.response_id)
    row = asked.row()
    assert (row["feedback_id"], row["feedback_rating"]) == (feedback_id, False)
    assert asked.trace()["score"] == {
        "count": 1, "weighted_mean": -1, "weighted_sum": -1, "total_weight": 1,
    }  # fmt: skip
    values = [(value, stands) for value, _, stands in asked.history(feedback_id)]
    assert values == [*kept, (-1, True)]


def test_scores_by_several_measures_are_entries_of_their_own_and_each_is_taken_back_alone(
    asked: Asked,
) -> None:
    path = f"/v1/request/{asked.request_id}/score"
    asked.call("POST", path, {"scores": {"relevance": 0.5, "is_polite": True}})
    asked.call("POST", path, {"scores": {"relevance": 0.25}})
    assert asked.row()["scores"] == {"relevance": 0.25, "is_polite": 1}
    assert asked.trace()["score"]["weighted_mean"] == pytest.approx(0.625)

    search = f"/api/v1/feedback?kind=score&request_id={asked.request_id}"
    ids = {entry["metric"]: entry["feedback_id"] for entry in asked.call("GET", search)["data"]}
    asked.call("DELETE", f"/api/v1/feedback/{ids['relevance']}")

    assert asked.row()["scores"] == {"is_polite": 1}
    asked.call("POST", path, {"scores": {"relevance": 1}})
    assert asked.row()["scores"] == {"relevance": 1, "is_polite": 1}
    assert [value for value, _, _ in asked.history(ids["relevance"])] == [0.5, 0.25, 0.25, 1]


def test_a_rating_is_read_and_changed_in_the_other_dialects_and_given_again_in_its_own(asked: Asked) -> None:
    asked.rate(True)
    feedback_id = asked.row()["feedback_id"]

    [listed] = asked.call("GET", f"/api/feedback?trace_id={asked.trace_id}")
    assert (listed["feedback_id"], listed["user"]) == (feedback_id, "ann")
    assert listed["feedback"] == {"value": 1, "weight": 1}
    asked.call("PUT", f"/v1/feedback/{feedback_id}", {"value": -3})
    assert asked.row()["feedback_rating"] is False
    asked.call("PATCH", f"/api/feedback/{feedback_id}", {"feedback": {"comment": "why"}})
    assert asked.row()["feedback_rating"] is False
    asked.rate(True)

    assert asked.row()["feedback_rating"] is True
    versions = [(value, dialect) for value, dialect, _ in asked.history(feedback_id)]
    assert versions == [(1, "helicone"), (-3, "portkey"), (-3, "pharia"), (1, "helicone")]


def test_an_id_of_a_trace_and_of_a_request_in_another_means_in_each_dialect_what_it_says(
    asked: Asked,
) -> None:
    named = {"x-portkey-trace-id": f"{asked.trace_id}-2", "Helicone-Request-Id": asked.trace_id}
    asked.http.post("/v1/chat/completions", json=CHAT, headers=named).raise_for_status()

    grade = asked.grade(1)
    asked.rate(True, asked.trace_id)

    assert [entry["feedback_id"] for entry in asked.trace()["feedback"]] == [grade]
    [rating] = asked.call("GET", f"/api/v1/traces/{asked.trace_id}-2")["feedback"]
    assert (rating["target"], rating["request_id"]) == ("request", asked.trace_id)
