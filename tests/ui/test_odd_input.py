"""Valid input that few think of: pages answer it, and their forms work on it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape

import httpx
import pytest

from gateway.models.ids import path_segment
from gateway.ui.markdown import MAX_SHOWN_CHARS
from gateway.ui.page import MAX_TEXT
from gateway.ui.requests import MAX_BARS, MAX_MESSAGES
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually
from tests.ui_pages import ADMIN_KEY, KEYS, TENANT_KEY, ask_api, form_token, signed_in

FORMS = "/ui/feedback?from=all"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway of its own: other tests count the rows of theirs."""
    with RunningGateway(tmp_path_factory.mktemp("odd"), {"keys": KEYS}, arguments=("--demo",)) as running:
        yield running


@pytest.fixture(scope="module")
def admin(gateway: RunningGateway) -> Iterator[httpx.Client]:
    with signed_in(gateway, ADMIN_KEY) as client:
        yield client


def ask(gateway: RunningGateway, question: str, user: str = "odd", **headers: str) -> str:
    """Send a chat request; returns its id."""
    body = {"model": "demo-chat", "user": user, "messages": [{"role": "user", "content": question}]}
    reply = httpx.post(
        gateway.url + "/v1/chat/completions",
        json=body,
        headers={"x-portkey-api-key": ADMIN_KEY, **headers},
        trust_env=False,
    )
    return reply.raise_for_status().headers["x-gateway-request-id"]


def post(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    return client.post(path, data={"form_token": form_token(client, FORMS), **fields})


@pytest.mark.parametrize("user", ["a\nb", " spaces ", "../x", "x/erase", "50 %&?#ü", ".."])
def test_a_user_of_any_name_is_shown_and_erased(
    gateway: RunningGateway, admin: httpx.Client, user: str
) -> None:
    ask(gateway, "who am I?", user)
    path = f"/ui/users/{path_segment(user)}"
    # The user stands in the body, which is read after the reply.
    assert eventually(lambda: admin.get(path).is_success)
    assert post(admin, f"{path}/erase", name=user).status_code == 303
    assert admin.get(path).status_code == 404


def test_a_request_may_be_called_like_a_page(gateway: RunningGateway, admin: httpx.Client) -> None:
    ask(gateway, "am I a page?", **{"helicone-request-id": "tail"})
    assert "am I a page?" in admin.get("/ui/requests/tail").text


@pytest.mark.parametrize("name", [".", "..", "~..", "~~."])
def test_ids_that_browsers_take_out_of_paths_are_linked_to_and_found(
    gateway: RunningGateway, admin: httpx.Client, name: str
) -> None:
    ids = {
        "helicone-request-id": name,
        "x-portkey-trace-id": name,
        "x-portkey-metadata": json.dumps({"_session": name}),
    }
    ask(gateway, "dots?", name, **ids)
    asked = {"columns": "time,user,session,trace", "user": name}
    assert eventually(lambda: "data-item" in admin.get("/ui/requests", params=asked).text)
    lists = admin.get("/ui/requests", params=asked).text
    # As browsers do, this client takes dots out of what it is given.
    links = {
        unescape(link) for link in re.findall(r'href="(/ui/(?:requests|users|sessions|traces)/[^"]+)"', lists)
    }
    assert len(links) == 4
    for link in links:
        assert httpx.URL(admin.base_url).join(link).raw_path.decode() == link
        assert admin.get(link).status_code == 200, link
    for kind in ("requests", "users", "sessions", "traces"):
        assert name in ask_api(gateway, f"/api/v1/{kind}/{path_segment(name)}").values()


def test_feedback_is_on_the_request_that_the_page_shows(gateway: RunningGateway, admin: httpx.Client) -> None:
    traces = ["twice-1", "twice-2"]
    for trace in traces:
        ask(gateway, trace, **{"helicone-request-id": "twice", "x-portkey-trace-id": trace})
    pages = [f"/ui/requests/twice?trace_id={trace}" for trace in traces]
    rows = [re.findall(r'name="row" value="(\d+)"', admin.get(page).text) for page in pages]
    assert [len(set(found)) for found in rows] == [1, 1]
    for given in ("up", "comment"):
        form = {"request_id": "twice", "row": rows[0][0], "give": given, "text": "the first"}
        assert post(admin, "/ui/feedback", **form).status_code == 303
    found = ask_api(gateway, "/api/v1/feedback?request_id=twice")["data"]
    assert [each["trace_id"] for each in found] == ["twice-1"] * 2
    # Without the row nobody could say which one is meant; another request's row says something else.
    assert post(admin, "/ui/feedback", request_id="twice", give="up").status_code == 409
    assert post(admin, "/ui/feedback", request_id="other", row=rows[0][0], give="up").status_code == 404
    with signed_in(gateway, TENANT_KEY) as tenant:
        form = {"request_id": "twice", "row": rows[0][0], "give": "up"}
        assert post(tenant, "/ui/feedback", **form).status_code == 404


def test_requests_of_two_tenants_with_all_ids_alike_are_opened_and_reviewed_by_their_row(
    gateway: RunningGateway, admin: httpx.Client
) -> None:
    ids = {"helicone-request-id": "same", "x-portkey-trace-id": "same"}
    for question, key in (("whose? nobody", ADMIN_KEY), ("whose? north", TENANT_KEY)):
        ask(gateway, question, **ids, **{"x-portkey-api-key": key})
    refused = admin.get("/ui/requests/same?trace_id=same")
    assert refused.status_code == 409
    candidates = [unescape(link) for link in re.findall(r'href="(/ui/requests/[^"]+)"', refused.text)]
    listed = re.findall(r'data-item href="(/ui/requests/same[^"]+)"', admin.get("/ui/requests").text)
    assert [unescape(link) for link in listed] == candidates
    pages = [admin.get(link).text for link in candidates]
    assert [re.findall("whose[?] (nobody|north)", page)[0] for page in pages] == ["north", "nobody"]
    rows = [re.findall(r'name="row" value="(\d+)"', page)[0] for page in pages]
    form = {"request_id": "same", "trace_id": "same", "state": "reviewed"}
    assert post(admin, "/ui/reviews", **form).status_code == 409
    assert post(admin, "/ui/reviews", **form, row=rows[1]).status_code == 303
    reviews = ask_api(gateway, "/api/v1/reviews")["data"]
    assert [each["tenant"] for each in reviews if each["request_id"] == "same"] == [None]
    # A tenant has one request of that id, whatever row it names.
    own = ask_api(gateway, f"/api/v1/requests/same?row={rows[1]}", TENANT_KEY)
    assert own["tenant"] == "north"


def test_a_long_question_is_cut_and_says_so(gateway: RunningGateway, admin: httpx.Client) -> None:
    request_id = ask(gateway, "w " * MAX_SHOWN_CHARS)
    page = admin.get(f"/ui/requests/{request_id}").text
    assert len(page) < 2 * MAX_SHOWN_CHARS
    assert f"The first {MAX_SHOWN_CHARS:,} of" in page


def test_the_longest_better_answer_is_taken_in_every_script(
    gateway: RunningGateway, admin: httpx.Client
) -> None:
    request_id = ask(gateway, "in Chinese, please")
    answer = "字" * MAX_TEXT
    assert post(admin, "/ui/feedback", request_id=request_id, give="edit", text=answer).status_code == 303
    found = ask_api(gateway, f"/api/v1/feedback?request_id={request_id}")["data"]
    assert [each["edited_text"] for each in found] == [answer]


def test_next_to_review_takes_any_filter_of_the_page(gateway: RunningGateway, admin: httpx.Client) -> None:
    request_id = ask(gateway, "is it good?")
    post(admin, "/ui/feedback", request_id=request_id, give="label", text="odd one")
    chosen = {"author": "ann", "kind": "custom", "label": "odd one", "from": "1h"}
    taken = post(admin, "/ui/reviews/next", **chosen)
    assert f"/ui/requests/{request_id}?" in taken.headers["Location"]

    # Nothing is left, however often one asks.
    back = f"/ui/feedback?{httpx.QueryParams(chosen)}"
    for _ in range(2):
        reply = post(admin, "/ui/reviews/next", **chosen, return_to=back)
        page = admin.get(reply.headers["Location"])
        assert "waits for a review" in page.text
        [back] = re.findall(r'name="return_to" value="([^"]+)">\s*<button data-key="n"', page.text)
        back = back.replace("&amp;", "&")
        assert "notice" not in back


def test_a_form_that_is_sent_twice_adds_one_entry(gateway: RunningGateway, admin: httpx.Client) -> None:
    request_id = ask(gateway, "twice?")
    form = {"form_token": form_token(admin, FORMS), "request_id": request_id, "give": "comment"}
    for text in ("once", "once", "another"):
        assert admin.post("/ui/feedback", data={**form, "text": text}).status_code == 303
    found = ask_api(gateway, f"/api/v1/feedback?request_id={request_id}")["data"]
    assert [each["comment"] for each in found] == ["another", "once"]
    assert admin.get(f"{FORMS}&item={found[0]['feedback_id']}").status_code == 200
    headers = {"x-portkey-api-key": ADMIN_KEY}
    path = f"/api/v1/feedback/{found[0]['feedback_id']}"
    httpx.delete(gateway.url + path, headers=headers, trust_env=False).raise_for_status()
    gone = admin.get(f"{FORMS}&item={found[0]['feedback_id']}")
    assert (gone.status_code, "was withdrawn" in gone.text) == (404, True)


def test_the_timeline_of_a_long_trace_shows_what_is_around_a_request(
    gateway: RunningGateway, admin: httpx.Client
) -> None:
    requests = [ask(gateway, "again", **{"x-portkey-trace-id": "long/1"}) for _ in range(MAX_BARS + 2)]
    whole = admin.get("/ui/traces/long%2F1").text
    assert f"{MAX_BARS} of {MAX_BARS + 2} requests" in whole
    assert f"/ui/requests/{requests[0]}?" in whole
    last = admin.get(f"/ui/requests/{requests[-1]}?tab=timeline").text
    assert 'aria-current="true"' in last
    assert f"/ui/requests/{requests[0]}?" not in last


def test_a_long_conversation_is_read_page_by_page(gateway: RunningGateway, admin: httpx.Client) -> None:
    said = [{"role": "user", "content": f"message {number}."} for number in range(3 * MAX_MESSAGES)]
    headers = {"x-portkey-api-key": ADMIN_KEY, "x-portkey-metadata": json.dumps({"_session": "imported"})}
    body = {"model": "demo-chat", "messages": said}
    reply = httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers, trust_env=False)
    link = f"/ui/requests/{reply.headers['x-gateway-request-id']}"
    assert eventually(lambda: "message 89." in admin.get(link).text)
    seen: list[int] = []
    while link:
        page = admin.get(link).text
        numbers = [int(each) for each in re.findall(r"message (\d+)\.<", page)]
        assert 0 < len(numbers) <= MAX_MESSAGES + 6
        seen = [*numbers, *seen]
        older = re.search(r'href="([^"]+until=\d+)"', page)
        link = unescape(older[1]) if older else ""
    assert seen == list(range(3 * MAX_MESSAGES))
    of_session = admin.get("/ui/sessions/imported").text
    assert "message 89." in of_session
    assert "message 0." not in of_session
    assert f"{2 * MAX_MESSAGES} earlier messages" in of_session


def test_a_body_is_downloaded_as_it_was_sent(gateway: RunningGateway, admin: httpx.Client) -> None:
    path = f"/ui/requests/{ask(gateway, 'download me')}"
    assert eventually(lambda: "raw=response" in admin.get(path, params={"tab": "raw"}).text)
    sent, answered = (admin.get(path, params={"raw": side}) for side in ("request", "response"))
    assert sent.json()["messages"][0]["content"] == "download me"
    assert answered.json()["object"] == "chat.completion"
    assert answered.headers["Content-Disposition"] == 'attachment; filename="response.bin"'
    refused = admin.get(path, params={"raw": "head"})
    assert refused.status_code == 400
    assert "request or response" in refused.text
