"""Valid input that few think of: pages answer it, and their forms work on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest

from gateway.ui.markdown import MAX_SHOWN_CHARS
from gateway.ui.page import MAX_TEXT
from gateway.ui.requests import MAX_BARS
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually
from tests.ui_pages import ADMIN_KEY, KEYS, ask_api, form_token, signed_in

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


@pytest.mark.parametrize("user", ["a\nb", " spaces ", "../x", "x/erase", "50 %&?#ü"])
def test_a_user_of_any_name_is_shown_and_erased(
    gateway: RunningGateway, admin: httpx.Client, user: str
) -> None:
    ask(gateway, "who am I?", user)
    path = f"/ui/users/{quote(user, safe='')}"
    # The user stands in the body, which is read after the reply.
    assert eventually(lambda: admin.get(path).is_success)
    assert post(admin, f"{path}/erase", name=user).status_code == 303
    assert admin.get(path).status_code == 404


def test_a_request_may_be_called_like_a_page(gateway: RunningGateway, admin: httpx.Client) -> None:
    ask(gateway, "am I a page?", **{"helicone-request-id": "tail"})
    assert "am I a page?" in admin.get("/ui/requests/tail").text


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
