from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest

from gateway.models.feedback import Target
from gateway.store.base import Store

from .conftest import MakeExchange, MakeFeedback, key

CHAT = {"_session": "chat"}


async def test_sessions_are_listed_newest_first_with_their_figures(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    await store.append(
        [
            make_exchange("r1", "turn-1", metadata=CHAT),
            make_exchange("r2", "turn-2", metadata={**CHAT, "_user": "ann"}),
            make_exchange("r3", "else", metadata={"_session": "run"}),
            make_exchange("r4", "none"),
        ]
    )
    await store.put_feedback([make_feedback("r1", target=Target.REQUEST, score=-1.0)])
    run, chat = (await client.get("/api/v1/sessions")).json()["data"]
    assert (run["session"], run["traces"], run["requests"]) == ("run", 1, 1)
    assert (chat["session"], chat["traces"], chat["requests"], chat["users"]) == ("chat", 2, 2, ["ann"])
    assert chat["feedback"]["mean_score"]["value"] == -1.0


async def test_sessions_are_found_by_any_of_their_requests(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    await store.append(
        [
            make_exchange(metadata=CHAT),
            make_exchange(metadata=CHAT, status=500),
            make_exchange(metadata={"_session": "run"}),
        ]
    )
    [found] = (await client.get("/api/v1/sessions?status=5xx")).json()["data"]
    assert (found["session"], found["requests"]) == ("chat", 2)


async def test_following_cursors_meets_each_session_once(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    await store.append([make_exchange(metadata={"_session": f"s{number % 3}"}) for number in range(9)])
    first = (await client.get("/api/v1/sessions?limit=2")).json()
    await store.append([make_exchange(metadata={"_session": "s0"})])
    second = (await client.get(f"/api/v1/sessions?limit=2&cursor={first['next_cursor']}")).json()
    assert [row["session"] for row in first["data"] + second["data"]] == ["s2", "s1", "s0"]
    assert second["next_cursor"] is None


async def test_a_session_is_its_requests_its_traces_its_feedback_and_their_score(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    await store.append(
        [
            make_exchange("second", "turn-2", metadata=CHAT, started_at_us=2),
            make_exchange("first", "turn-1", metadata=CHAT, started_at_us=1),
        ]
    )
    await store.put_feedback(
        [make_feedback("turn-2", trace_id="turn-2", joined_at_us=1, score=0.5, weight=0.5)]
    )
    session = (await client.get("/api/v1/sessions/chat")).json()
    assert (session["session"], session["traces"]) == ("chat", ["turn-1", "turn-2"])
    assert [row["request_id"] for row in session["requests"]] == ["first", "second"]
    assert [entry["subject_id"] for entry in session["feedback"]] == ["turn-2"]
    assert session["score"] == {
        "count": 1, "weighted_mean": 0.5, "weighted_sum": 0.25, "total_weight": 0.5,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["a/b", "/a", "a/", "100%", "a%2Fb", "a b", "日本", "a?b#c", "<b>'\""])
async def test_a_session_s_name_may_be_any_text(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange, name: str
) -> None:
    await store.append([make_exchange(metadata={"_session": name})])
    answer = await client.get(f"/api/v1/sessions/{quote(name, safe='')}")
    assert answer.status_code == 200, answer.text
    assert answer.json()["session"] == name


async def test_an_unknown_session_is_404_in_our_shape(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/sessions/never")
    assert answer.status_code == 404
    assert answer.json()["error"] == {
        "code": "not_found", "message": "there is no session 'never'.", "field": "session",
    }  # fmt: skip


async def test_a_query_parameter_on_a_session_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/sessions/chat?limit=5")
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "limit")


async def test_a_tenant_sees_its_own_part_of_sessions_alone(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    await store.append([make_exchange("r", tenant="a", metadata=CHAT)])
    assert (await client.get("/api/v1/sessions", headers=key("reader-b"))).json()["data"] == []
    assert (await client.get("/api/v1/sessions/chat", headers=key("reader-b"))).status_code == 404
    [mine] = (await client.get("/api/v1/sessions", headers=key("reader-a"))).json()["data"]
    assert mine["session"] == "chat"
    assert (await client.get("/api/v1/sessions/chat", headers=key("reader-a"))).status_code == 200


async def test_feedback_on_a_session_is_appended_to_its_requests_and_traces_and_counts_for_one(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    await store.append([make_exchange(f"r{turn}", f"turn-{turn}", metadata=CHAT) for turn in (1, 2)])
    await store.append([make_exchange("r3", "turn-2")])
    await store.put_feedback(
        [
            make_feedback("chat", feedback_id="on session", score=1.0),
            make_feedback("turn-2", feedback_id="on trace", score=-1.0),
        ]
    )

    async def shown(path: str) -> tuple[dict[str, str], int | None]:
        reply = (await client.get(path)).json()
        entries = {entry["feedback_id"]: entry["via"] for entry in reply["feedback"]}
        return entries, reply["score"]["count"] if "score" in reply else None

    both = {"on session": "session", "on trace": "trace"}
    assert await shown("/api/v1/sessions/chat") == (both, 1)
    assert await shown("/api/v1/traces/turn-1") == ({"on session": "session"}, 0)
    assert await shown("/api/v1/traces/turn-2") == (both, 2)
    assert (await shown("/api/v1/requests/r1"))[0] == {"on session": "session"}
    assert (await shown("/api/v1/requests/r2"))[0] == both
    assert (await shown("/api/v1/requests/r3"))[0] == {"on trace": "trace"}
    judged = (await client.get("/api/v1/requests?judged=true")).json()["data"]
    assert [row["request_id"] for row in judged] == ["r3", "r2"]
    others = (await client.get("/api/v1/requests?judged=false")).json()["data"]
    assert [row["request_id"] for row in others] == ["r1"]
    [found] = (await client.get("/api/v1/feedback?session=chat")).json()["data"]
    assert (found["feedback_id"], found["session"], found["trace_id"]) == ("on session", "chat", None)
    [listed] = (await client.get("/api/v1/sessions")).json()["data"]
    assert listed["feedback"]["count"] == 1
