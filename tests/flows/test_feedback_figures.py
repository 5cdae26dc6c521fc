"""After any sequence of calls in all dialects, every figure and mark of feedback is what a plain recount gives."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import httpx
import pytest

from tests.conftest import StartGateway
from tests.log_reader import eventually

Row = dict[str, Any]

STEPS = 60
CONFIG: Row = {"feedback": {"portkey_scale": "thumbs"}}
QUESTION = {"model": "demo-chat", "messages": [{"role": "user", "content": "Hi"}]}
SHAPES: list[Row] = [
    {"type": "rating", "value": 5},
    {"rating": "thumbs_down"},
    {"thumbs_up": True, "weight": 0.3},
    {"score": 0.4, "weight": 0.0},
    {"type": "original_response", "content": "A"},
    {"type": "user_edit", "content": "B"},
    {"colour": "red"},
]


class Player:
    """Makes calls by chance, and knows of the ids that there may be."""

    def __init__(self, client: httpx.Client, seed: int) -> None:
        self._client = client
        self._dice = random.Random(seed)
        self._requests = [f"request-{number}" for number in range(8)]
        self._entries: list[str] = []
        self._steps: list[Callable[[], None]] = [
            self._ask, self._ask, self._portkey, self._portkey, self._helicone, self._helicone, self._pharia,
            self._pharia, self._score, self._put, self._patch, self._tag, self._withdraw, self._remove,
        ]  # fmt: skip

    def play(self) -> None:
        """Make one call."""
        self._dice.choice(self._steps)()

    def _call(self, method: str, path: str, body: Row | None = None, **headers: str) -> Row:
        reply = self._client.request(method, path, json=body, headers=headers)
        # What was withdrawn before is not there.
        assert reply.status_code in (200, 404), reply.text
        found: Row = reply.json()
        return found

    def _ask(self) -> None:
        number = self._dice.randrange(len(self._requests))
        self._client.post(
            "/v1/chat/completions",
            json=QUESTION,
            headers={
                "Helicone-Request-Id": self._requests[number],
                "x-portkey-trace-id": f"trace-{number // 3}",
                "Helicone-Property-_session": f"session-{number % 2}",
                "Helicone-User-Id": f"user-{number % 3}",
            },
        ).raise_for_status()

    def _subject(self) -> str:
        names = ["trace-0", "trace-1", "trace-2", "session-0", "session-1", "nothing", *self._requests[:4]]
        return self._dice.choice(names)

    def _portkey(self) -> None:
        vote = {"trace_id": self._subject(), "value": self._dice.randint(-1, 1)}
        vote["weight"] = self._dice.choice([0, 0.5, 1])
        self._entries += self._call("POST", "/v1/feedback", vote)["feedback_ids"]

    def _pharia(self) -> None:
        given = {"trace_id": self._subject(), "feedback": self._dice.choice(SHAPES), "user": "ann"}
        self._entries.append(self._call("POST", "/api/feedback", given)["feedback_id"])

    def _helicone(self) -> None:
        user = self._dice.choice([{}, {"Helicone-User-Id": "ann"}])
        path = f"/v1/request/{self._dice.choice(self._requests)}/feedback"
        self._call("POST", path, {"rating": self._dice.random() < 0.5}, **user)

    def _score(self) -> None:
        scores = {"quality": self._dice.choice([0.5, -1, True, 7])}
        self._call("POST", f"/v1/request/{self._dice.choice(self._requests)}/score", {"scores": scores})

    def _put(self) -> None:
        self._call("PUT", f"/v1/feedback/{self._entry()}", {"value": self._dice.randint(-1, 1)})

    def _patch(self) -> None:
        self._call("PATCH", f"/api/feedback/{self._entry()}", {"feedback": self._dice.choice(SHAPES)})

    def _tag(self) -> None:
        value = self._dice.choice(["session-0", "session-1", "session-2"])
        path = f"/v1/request/{self._dice.choice(self._requests)}/property"
        self._call("PUT", path, {"key": self._dice.choice(["_session", "_Session"]), "value": value})

    def _withdraw(self) -> None:
        self._call("DELETE", f"/api/v1/feedback/{self._entry()}")

    def _remove(self) -> None:
        self._call("DELETE", f"/api/feedback/{self._entry()}")

    def _entry(self) -> str:
        listed = [entry["feedback_id"] for entry in read_all(self._client, "/api/v1/feedback")]
        return str(self._dice.choice([*listed, *self._entries[-3:], "01890a5d-ac96-774b-bcce-b302099a8057"]))


def read_all(client: httpx.Client, path: str) -> list[Row]:
    reply = client.get(path, params={"limit": 500}).raise_for_status().json()
    assert reply["next_cursor"] is None
    found: list[Row] = reply["data"]
    return found


def is_about(entry: Row, request: Row) -> bool:
    """Whether an entry is to be shown on a request."""
    if entry["joined_at"] is None:
        return False
    names = {"trace": ["trace_id"], "session": ["session"], "request": ["trace_id", "request_id"]}
    return all(entry[name] == request[name] for name in names[entry["target"]])


def judged_by(entry: Row, requests: list[Row]) -> Row | None:
    """The request that an entry counts for, of all in the order in which they were logged."""
    group = [request for request in requests if is_about(entry, request)]
    if entry["target"] != "request":
        group.sort(key=lambda request: request["started_at"])
        before = [request for request in group if request["started_at"] <= entry["created_at"]]
        group = before or group[:1]
    return group[-1] if group else None


def summed_up(entries: Iterable[Row]) -> tuple[int, Any, Any]:
    """How many entries count, what they weigh, and their mean score."""
    counted = [entry for entry in entries if entry["kind"] != "original" or entry["score"] is not None]
    scored = [(entry["weight"], entry["score"]) for entry in counted if entry["score"] is not None]
    weight = sum(each for each, _ in scored)
    mean = sum(each * score for each, score in scored) / weight if weight else None
    return len(counted), pytest.approx(weight), None if mean is None else pytest.approx(mean)


def figures_of(row: Row) -> tuple[int, Any, Any]:
    told = row["feedback"]
    mean = told["mean_score"]
    return told["count"], told["total_weight"], None if mean is None else mean["value"]


def score_of(row: Row) -> tuple[int, Any, Any]:
    told = row["score"]
    return told["count"], told["total_weight"], told["weighted_mean"]


def check(client: httpx.Client) -> None:
    """Hold everything that is told of feedback against the rows themselves."""
    eventually(lambda: all(row["interpreted_at"] for row in read_all(client, "/api/v1/requests")))
    requests, entries = read_all(client, "/api/v1/requests")[::-1], read_all(client, "/api/v1/feedback")
    counted: list[tuple[Row, Row]] = []
    for entry in entries:
        request = judged_by(entry, requests)
        if request is not None:
            counted.append((entry, request))
    for field in ("session", "user", "trace_id"):
        expected = defaultdict(list)
        for entry, request in counted:
            expected[request[field]].append(entry)
        names = {request[field] for request in requests}
        if field != "trace_id":
            rows = client.get("/api/v1/aggregates", params={"group_by": field}).json()["data"]
            assert {row["group"] for row in rows} == names
            assert {row["group"]: figures_of(row) for row in rows} == {
                row["group"]: summed_up(expected[row["group"]]) for row in rows
            }
        if field != "user":
            list_path = "/api/v1/sessions" if field == "session" else "/api/v1/traces"
            for row in read_all(client, list_path):
                assert figures_of(row) == summed_up(expected[row[field]])
                shown = client.get(f"{list_path}/{row[field]}").json()
                assert score_of(shown) == summed_up(expected[row[field]])
    judged = {
        row["request_id"] for row in client.get("/api/v1/requests?judged=true&limit=500").json()["data"]
    }
    assert judged == {request["request_id"] for _, request in counted}
    check_rows(client, requests, entries)


def check_rows(client: httpx.Client, requests: list[Row], entries: list[Row]) -> None:
    """Hold what each request shows against the entries that are about it."""
    found = find(client, "all")
    assert len(found) == len(requests)
    ratings = {row["request_created_at"]: row["feedback_rating"] for row in found}
    for request in requests:
        own = [entry for entry in entries if is_about(entry, request)]
        feedback_sums = [
            entry
            for entry in own
            if entry["score"] and entry["weight"] and not (entry["kind"] == "score" and entry["metric"])
        ]
        latest = max(feedback_sums, key=lambda entry: entry["updated_at"], default=None)
        assert ratings[request["started_at"]] == (None if latest is None else latest["score"] > 0)
    # Of the tries of a request the latest is shown.
    for request in {row["request_id"]: row for row in requests}.values():
        shown = client.get(f"/api/v1/requests/{request['request_id']}").json()["feedback"]
        assert {(entry["feedback_id"], entry["via"]) for entry in shown} == {
            (entry["feedback_id"], entry["target"]) for entry in entries if is_about(entry, request)
        }
    for rating in (True, False):
        rows = find(client, {"feedback": {"rating": {"equals": rating}}})
        expected = {started_at for started_at, told in ratings.items() if told is rating}
        assert {row["request_created_at"] for row in rows} == expected


def find(client: httpx.Client, where: object) -> list[Row]:
    """The rows that Helicone's query finds."""
    reply = client.post("/v1/request/query", json={"filter": where, "limit": 1000}).raise_for_status()
    found: list[Row] = reply.json()["data"]
    return found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_whatever_is_called_in_any_dialect_figures_and_marks_are_a_plain_recount(
    start_gateway: StartGateway, request: pytest.FixtureRequest, engine: str, seed: int
) -> None:
    storage = {"storage": {"url": request.getfixturevalue("postgres_url")}} if engine == "postgres" else {}
    gateway = start_gateway({**CONFIG, **storage}, arguments=("--demo",))
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=30) as client:
        player = Player(client, seed)
        for step in range(STEPS):
            player.play()
            if step % 12 == 11:
                check(client)
