"""Feedback tokens over a real gateway: they come with each answer, vote in every dialect, and leave no trace."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gateway.feedback.rules import TOKEN_AUTHOR
from gateway.store.journal_files import all_segments
from tests.conftest import StartGateway
from tests.gateway_fixtures import PROVIDER_KEY, closed_port
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, payload, query, row
from tests.raw_http import Connection, Response, call, request
from tests.scripted_upstream import EVENT_STREAM, READ, UpstreamProcess, answer, chunk, head, wait
from tests.storage_faults import fill_disk

from .promises import kill_tree

HEADER = b"x-gateway-feedback-token"
SECRET = "first-secret-of-at-least-32-letters"
NEXT_SECRET = "second-secret-of-at-least-32-letters"
NORTH = b"x-portkey-api-key: gw-north-0123456789"
READER = {"x-portkey-api-key": "gw-reader-0123456789"}
PAGE = "https://app.example.com"

CHAT = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()
MESSAGE = {"role": "assistant", "content": "ho"}
STREAM = [READ, head(b"200 OK", EVENT_STREAM, b"Transfer-Encoding: chunked")]


def reply(response_id: str) -> bytes:
    return json.dumps({"id": response_id, "model": "m", "choices": [{"message": MESSAGE}]}).encode()


def config(upstream: UpstreamProcess, **tokens: object) -> dict[str, Any]:
    provider = {"base_url": f"{upstream.url}/v1", "api_key": PROVIDER_KEY}
    nobody = {"base_url": f"http://127.0.0.1:{closed_port()}/v1"}
    return {
        "default_provider": "up",
        "providers": {"up": provider, "nobody": nobody},
        "keys": [
            {"name": "north", "key": "gw-north-0123456789", "role": "proxy", "tenant": "north"},
            {"name": "reader", "key": "gw-reader-0123456789", "role": "admin"},
        ],
        "feedback": {"tokens": {"keys": [SECRET], "allow_origins": [PAGE], **tokens}},
    }


@pytest.fixture(scope="module")
def house(upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway with keys, a tenant and tokens."""
    with RunningGateway(tmp_path_factory.mktemp("tokens"), config(upstream, rate_limit=1000)) as running:
        yield running


def ask(gateway: RunningGateway, *fields: bytes, target: bytes = b"/v1/chat/completions") -> Response:
    return call(gateway.port, request(b"POST", target, NORTH, *fields, body=CHAT))


def token_of(answered: Response) -> str:
    return answered.value(HEADER).decode()


def vote(gateway: RunningGateway, token: str, path: str, body: object, **headers: str) -> httpx.Response:
    return httpx.post(gateway.url + path, json=body, headers={HEADER.decode(): token, **headers})


def entries(gateway: RunningGateway, any_id: str) -> list[tuple[object, ...]]:
    """The feedback on a request, in the order in which it was given."""
    sql = (
        "SELECT dialect, score, tenant, author, joined_at_us FROM feedback WHERE request_id = ? ORDER BY seq"
    )
    found = query(gateway.database, sql, any_id)
    assert all(entry["joined_at_us"] for entry in found)
    return [tuple(entry)[:4] for entry in found]


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_token_from_an_answer_gives_feedback_in_three_dialects_and_on_its_page(
    house: RunningGateway, upstream: UpstreamProcess, is_stream: bool
) -> None:
    response_id = f"chatcmpl-{is_stream}"
    event = b"data: " + reply(response_id) + b"\n\n"
    streamed = [*STREAM, chunk(event), chunk(b"data: [DONE]\n\n"), chunk(b"")]
    script = upstream.script(*(streamed if is_stream else answer(reply(response_id))))
    answered = ask(house, script)
    token, trace, request_id = (
        answered.value(name).decode() for name in (HEADER, b"x-portkey-trace-id", b"helicone-id")
    )
    eventually(lambda: row(house.database, trace)["response_id"] == response_id)

    portkey = vote(
        house, token, "/v1/feedback", [{"trace_id": id_, "value": 5} for id_ in (request_id, response_id)]
    )
    helicone = vote(house, token, f"/v1/request/{request_id}/feedback", {"rating": True})
    pharia = vote(house, token, "/api/feedback", {"trace_id": response_id, "feedback": {"rating": 5}})
    page = httpx.post(f"{house.url}/f/{token}", data={"vote": "down", "comment": "Hm."})
    assert [voted.status_code for voted in (portkey, helicone, pharia, page)] == [200] * 4

    assert entries(house, request_id) == [
        ("portkey", 0.5, "north", TOKEN_AUTHOR),
        ("portkey", 0.5, "north", TOKEN_AUTHOR),
        ("page", -1, "north", TOKEN_AUTHOR),
        ("pharia", 1, "north", TOKEN_AUTHOR),
    ], "the page's vote is the one that was given as a rating"
    of_page = (
        "SELECT kind, comment, version, key_name FROM feedback WHERE dialect = 'page' AND request_id = ?"
    )
    [whole] = query(house.database, of_page, request_id)
    assert tuple(whole) == ("thumb", "Hm.", 2, "north")
    refused = vote(house, token, "/v1/feedback", {"trace_id": "another", "value": 1})
    assert (refused.status_code, refused.json()["status"]) == (403, "failure")


def test_feedback_may_come_while_its_answer_is_still_streaming(
    house: RunningGateway, upstream: UpstreamProcess
) -> None:
    gate = upstream.name()
    script = upstream.script(*STREAM, chunk(b"first"), wait(gate), chunk(b""))
    with Connection(house.port) as caller:
        caller.send(request(b"POST", b"/v1/chat/completions", NORTH, script, body=CHAT))
        begun = caller.head()
        token, trace = begun.value(HEADER).decode(), begun.value(b"x-portkey-trace-id").decode()
        assert query(house.database, "SELECT 1 FROM requests WHERE trace_id = ?", trace) == []
        assert vote(house, token, "/v1/feedback", {"trace_id": trace, "value": 1}).status_code == 200
        upstream.open(gate)
        assert (caller.chunk(), caller.chunk()) == (b"first", b"")
    [joined] = query(house.database, "SELECT joined_at_us FROM feedback WHERE trace_id = ?", trace)
    assert joined[0] is not None


@pytest.mark.parametrize(
    ("target", "status"),
    [(b"/v1/models", b"200 OK"), (b"/v1/messages", b"429 Slow Down"), (b"/up/x", b"500 Oh")],
)
def test_every_answer_of_a_provider_carries_one_token_and_it_is_ours(
    house: RunningGateway, upstream: UpstreamProcess, target: bytes, status: bytes
) -> None:
    theirs = b"X-Gateway-Feedback-Token: theirs"
    answered = ask(house, upstream.script(*answer(b"{}", theirs, status=status)), target=target)
    assert answered.status == int(status[:3])
    assert token_of(answered).startswith("gf1.")


def test_an_answer_of_our_own_carries_none(house: RunningGateway) -> None:
    for answered in (ask(house, target=b"/nobody/chat"), ask(house, target=b"/unknown/chat")):
        assert answered.status in (404, 502)
        assert answered.values(HEADER) == []


def test_without_secrets_no_answer_carries_a_token(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    answered = ask(gateway, upstream.script(*answer(b"{}", b"X-Gateway-Feedback-Token: theirs")))
    assert (answered.status, answered.values(HEADER)) == (200, [])


def test_proxied_paths_are_closed_to_pages_of_other_origins(
    house: RunningGateway, upstream: UpstreamProcess
) -> None:
    answered = ask(house, b"Origin: " + PAGE.encode())
    assert answered.status == 200
    assert not [name for name, _ in answered.fields if name.lower().startswith(b"access-control-")]


@pytest.mark.parametrize(
    "carrier", [b"x-gateway-feedback-token: ", b"Authorization: Bearer ", b"x-api-key: ", b"Helicone-Auth: "]
)
def test_a_token_never_goes_to_a_provider_and_is_no_key_for_one(
    house: RunningGateway, upstream: UpstreamProcess, carrier: bytes
) -> None:
    token = token_of(ask(house)).encode()
    upstream.take()
    for sent in (token, token[:-1], b"gf1.expired"):
        assert ask(house, carrier + sent).status == 200
        alone = call(house.port, request(b"POST", b"/v1/chat/completions", carrier + sent, body=CHAT))
        assert alone.status == 401
    received = upstream.take()
    assert len(received) == 3
    for one in received:
        assert not any(b"gf1." in value for _, value in one.fields)
        assert one.values(b"authorization") == [b"Bearer " + PROVIDER_KEY.encode()]


def test_an_open_gateway_keeps_tokens_to_itself_too(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    gateway = start_gateway({**config(upstream), "keys": []})
    token = token_of(ask(gateway))
    upstream.take()
    assert ask(gateway, b"Authorization: Bearer " + token.encode()).status == 200
    [received] = upstream.take()
    assert received.values(b"authorization") == [b"Bearer " + PROVIDER_KEY.encode()]
    assert vote(gateway, token, "/v1/feedback", {"trace_id": "another", "value": 1}).status_code == 403


def test_a_reload_takes_over_secrets_limits_and_origins(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    gateway = start_gateway(config(upstream))

    def reload(**tokens: object) -> None:
        count = gateway.log().count("configuration reloaded")
        gateway.write_config(config(upstream, **tokens))
        gateway.signal(signal.SIGHUP)
        eventually(lambda: gateway.log().count("configuration reloaded") > count)

    def status(token: str) -> int:
        body = {"trace_id": "traced", "value": 1}
        return vote(gateway, token, "/v1/feedback", body, Origin="https://new.example.com").status_code

    old = token_of(ask(gateway, b"x-portkey-trace-id: traced"))
    reload(keys=[NEXT_SECRET, SECRET], allow_origins=["https://new.example.com"])
    new = token_of(ask(gateway, b"x-portkey-trace-id: traced"))
    assert (status(old), status(new)) == (200, 200)
    asked = httpx.options(f"{gateway.url}/v1/feedback", headers={"Origin": "https://new.example.com"})
    assert asked.headers["access-control-allow-origin"] == "https://new.example.com"

    reload(keys=[NEXT_SECRET], rate_limit=1)
    assert (status(old), status(new), status(new)) == (401, 429, 429)

    reload(keys=[])
    assert status(new) == 401
    assert httpx.get(f"{gateway.url}/f/{new}").status_code == 404
    assert ask(gateway).values(HEADER) == []


def test_a_token_is_good_until_it_expires(start_gateway: StartGateway, upstream: UpstreamProcess) -> None:
    gateway = start_gateway(config(upstream, ttl_seconds=1))
    token = token_of(ask(gateway, b"x-portkey-trace-id: traced"))

    def refused() -> bool:
        voted = vote(gateway, token, "/v1/feedback", {"trace_id": "traced", "value": 1})
        return voted.status_code == 401 and "expired on" in voted.json()["message"]

    eventually(refused)
    assert "This link has expired" in httpx.get(f"{gateway.url}/f/{token}").text


def use_everywhere(gateway: RunningGateway, upstream: UpstreamProcess, token: str, request_id: str) -> None:
    """Do with a token all that can be done with it, and what should not be."""
    carriers = [
        name + b": Bearer " + token.encode() for name in (HEADER, b"Authorization", b"x-api-key", b"X-Odd")
    ]
    target = b"/v1/chat/completions?feedback_token=" + token.encode()
    ask(gateway, upstream.script(*answer(b"{}")), *carriers, target=target)
    headers = {HEADER.decode(): token, "Authorization": f"Bearer {token}", "Idempotency-Key": "1"}
    for path, body in (
        ("/v1/feedback", {"trace_id": request_id, "value": 1}),
        ("/v1/feedback", {"trace_id": "another", "value": 1}),
        (f"/v1/request/{request_id}/feedback", {"rating": True}),
        ("/api/feedback", {"trace_id": request_id, "feedback": {"a": 1}}),
    ):
        httpx.post(gateway.url + path, json=body, headers=headers)
    for path in (f"/f/{token}", f"/f/{token}/", f"/f/{token}x", f"/f/{token}/more"):
        httpx.get(gateway.url + path, headers=headers)
        httpx.post(gateway.url + path, data={"vote": "up", "comment": "Fine"})
    httpx.put(f"{gateway.url}/v1/feedback/1", json={"value": 1}, headers=headers)
    httpx.get(f"{gateway.url}/api/v1/requests", headers=headers)


def test_no_token_reaches_the_disk_or_the_log(start_gateway: StartGateway, upstream: UpstreamProcess) -> None:
    gateway = start_gateway(config(upstream))
    answered = ask(gateway, upstream.script(*answer(b"{}")))
    token, request_id = token_of(answered), answered.value(b"helicone-id").decode()
    use_everywhere(gateway, upstream, token, request_id)
    assert [entry[0] for entry in entries(gateway, request_id)] == ["portkey", "page", "pharia"]
    fill_disk(gateway)
    use_everywhere(gateway, upstream, token, request_id)
    eventually(lambda: any(segment.size() for segment in all_segments(gateway.folder / "gateway.db.journal")))
    kill_tree(gateway)

    mac = token.rpartition(".")[2]
    found = (file for file in gateway.folder.rglob("*") if file.is_file())
    files = [file for file in found if file != gateway.config_file]
    assert [file.name for file in files if mac.encode() in file.read_bytes()] == []
    assert request_id.encode() in b"".join(file.read_bytes() for file in files), (
        "the search looks in the wrong place"
    )
    kept = [payload(gateway.database, seq) for (seq,) in query(gateway.database, "SELECT seq FROM requests")]
    assert "[redacted]" in repr(kept)
    assert mac not in repr(kept)
