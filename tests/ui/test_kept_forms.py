"""What was typed outlives a sign-in: it is kept while its author signs in again, and nothing is sent by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import httpx
import pytest

from tests.gateway_process import RunningGateway
from tests.ui_pages import ADMIN_KEY, READER_KEY, REVIEWER_KEY, ask_api, form_token, signed_in

PAGE = "/ui/feedback?from=all"
TEXT = '\n</textarea><script>alert("x")</script> & 字'
_INPUT = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')
_AREA = re.compile(r'<textarea name="([^"]+)"[^>]*>\n?(.*?)</textarea>', re.DOTALL)


@pytest.fixture
def asked(demo_pages: RunningGateway) -> dict[str, str]:
    """A comment on a request, as the form of a page sends it."""
    [row] = ask_api(demo_pages, "/api/v1/requests?limit=1")["data"]
    return {"request_id": row["request_id"], "give": "comment", "text": TEXT, "return_to": PAGE}


@pytest.fixture
def reviewer(demo_pages: RunningGateway) -> Iterator[httpx.Client]:
    with signed_in(demo_pages, REVIEWER_KEY) as client:
        yield client


def fields_of(reply: httpx.Response) -> dict[str, str]:
    """What the form of a page sends if nothing is changed in it."""
    found = [*_INPUT.findall(reply.text), *_AREA.findall(reply.text)]
    return {name: unescape(text) for name, text in found}


def comments(gateway: RunningGateway) -> list[str]:
    return [each["comment"] for each in ask_api(gateway, "/api/v1/feedback?author=rita&kind=comment")["data"]]


def test_a_comment_sent_after_sign_out_is_there_after_signing_in_again(
    demo_pages: RunningGateway, reviewer: httpx.Client, asked: dict[str, str]
) -> None:
    before = comments(demo_pages)
    token = form_token(reviewer, PAGE)
    reviewer.post("/ui/sign-out", data={"form_token": token})
    reviewer.cookies.clear()
    ended = reviewer.post("/ui/feedback", data={"form_token": token, **asked})
    assert ended.status_code == 401
    assert "<script>" not in ended.text
    wrong = reviewer.post("/ui/sign-in", data={**fields_of(ended), "key": "wrong"})
    assert wrong.status_code == 401
    kept = reviewer.post("/ui/sign-in", data={**fields_of(wrong), "key": REVIEWER_KEY})
    assert kept.status_code == 200
    assert "<script>" not in kept.text
    assert 'action="/ui/feedback"' in kept.text
    assert comments(demo_pages) == before, "somebody has to see and send it"
    sent = reviewer.post("/ui/feedback", data=fields_of(kept))
    assert (sent.status_code, sent.headers["Location"]) == (303, PAGE)
    assert comments(demo_pages) == [TEXT.strip(), *before]


def test_a_page_from_before_signing_in_again_loses_no_text(
    demo_pages: RunningGateway, reviewer: httpx.Client, asked: dict[str, str]
) -> None:
    with signed_in(demo_pages, REVIEWER_KEY) as earlier:
        token = form_token(earlier, PAGE)
    review = {"request_id": asked["request_id"], "state": "reviewed", "note": "Well put."}
    for path, form in (("/ui/feedback", {**asked, "text": "again"}), ("/ui/reviews", review)):
        kept = reviewer.post(path, data={"form_token": token, **form})
        assert kept.status_code == 403
        assert reviewer.post(path, data=fields_of(kept)).status_code == 303
    assert comments(demo_pages)[0] == "again"


def test_no_form_of_another_site_is_kept_and_no_other_address_taken(
    reviewer: httpx.Client, asked: dict[str, str]
) -> None:
    foreign = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.test"}
    token = form_token(reviewer, PAGE)
    for path in ("/ui/feedback", "/ui/sign-in"):
        refused = reviewer.post(path, data={"kept_path": "/ui/feedback", **asked}, headers=foreign)
        assert (refused.status_code, fields_of(refused)) == (403, {})
    reviewer.cookies.clear()
    form = {"form_token": form_token(reviewer, "/ui/sign-in"), "key": READER_KEY, "kept.text": "typed"}
    for elsewhere in ("https://evil.test/", "//evil.test", "/ui/settings/keys", "/ui/users/ann/erase"):
        reply = reviewer.post("/ui/sign-in", data={**form, "kept_path": elsewhere, "next": "//evil.test"})
        assert (reply.status_code, reply.headers["Location"]) == (303, "/ui/feedback")
        reviewer.cookies.clear()
    ended = reviewer.post("/ui/feedback", data={"form_token": token, **asked, "return_to": "//evil.test"})
    assert fields_of(ended)["next"] == "/ui/feedback"


def test_acts_of_an_admin_are_not_kept(demo_pages: RunningGateway) -> None:
    with signed_in(demo_pages, ADMIN_KEY) as admin:
        token = form_token(admin, "/ui/settings")
    ended = httpx.post(f"{demo_pages.url}/ui/users/x/erase", data={"form_token": token, "name": "x"})
    assert ended.status_code == 401
    assert fields_of(ended) == {}
