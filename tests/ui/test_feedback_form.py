"""The page behind a link with a feedback token: what it shows, and when it votes."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import httpx
import pytest

from gateway.errors import StoreUnavailable
from gateway.feedback import rules
from gateway.feedback.payloads import star_scale, thumb_feedback
from gateway.feedback.rules import TOKEN_AUTHOR
from gateway.feedback.service import FeedbackService
from gateway.models.feedback import Kind, Source, Target
from gateway.models.principal import FeedbackScope, Principal, Role
from gateway.ui.form_texts import ENGLISH, GERMAN, texts_for
from tests.factories import token_keys
from tests.feedback.samples import exchange

from .served import RATE_LIMIT, Served

ASKED_AT_US = 1_800_000_000_000_000
SECRETS_OF_THE_HOUSE = ("private question", "private answer", "trace-1", "request-1", "openai", "north")


def checked(page: str) -> list[str]:
    return re.findall(r'<input[^>]* id="(\w+)"[^>]* checked>', page)


async def test_the_page_says_when_the_answer_was_asked_for_and_nothing_more_of_it(served: Served) -> None:
    bodies = {"request_body": b"private question", "response_body": b"private answer"}
    await served.store.append([replace(exchange(tenant="north", started_at_us=ASKED_AT_US), **bodies)])  # type: ignore[arg-type]
    page = (await served.client.get(served.link(tenant="north"))).text
    assert "Answered on <time" in page
    assert ">15 January 2027, 08:00 UTC</time>" in page
    assert not [secret for secret in SECRETS_OF_THE_HOUSE if secret in page]


async def test_a_request_that_is_not_logged_or_another_tenant_s_has_no_time(served: Served) -> None:
    await served.store.append([exchange(tenant="north")])
    for link in (served.link(tenant="south"), served.link(FeedbackScope("trace-2", "request-1"))):
        page = await served.client.get(link)
        assert (page.status_code, "Answered on" in page.text) == (200, False)


@pytest.mark.parametrize(
    ("query", "chosen"), [("", []), ("?v=up", ["up"]), ("?v=down", ["down"]), ("?v=x", []), ("?vote=up", [])]
)
async def test_opening_a_link_chooses_a_thumb_at_most_and_never_sends(
    served: Served, query: str, chosen: list[str]
) -> None:
    link = served.link()
    for method in ("GET", "HEAD", "OPTIONS"):
        for headers in ({}, {"Purpose": "prefetch", "Sec-Purpose": "prefetch;prerender"}):
            await served.client.request(method, link + query, headers=headers)
    assert checked((await served.client.get(link + query)).text) == chosen
    assert await served.entries() == []


async def test_sending_the_form_gives_feedback(served: Served) -> None:
    await served.store.append([exchange(tenant="north")])
    page = await served.send(served.link(tenant="north"), vote="down", comment="Too <b>long</b>")
    assert page.status_code == 200
    assert "Thank you" in page.text
    assert "saved: Bad, with your comment:" in page.text
    assert "<blockquote>Too &lt;b&gt;long&lt;/b&gt;</blockquote>" in page.text
    [entry] = await served.entries()
    assert (entry.kind, entry.value, entry.score, entry.source) == (Kind.THUMB, -1, -1, Source.HUMAN)
    assert (entry.comment, entry.author, entry.dialect) == ("Too <b>long</b>", TOKEN_AUTHOR, "page")
    assert (entry.tenant, entry.target, entry.request_id) == ("north", Target.REQUEST, "request-1")
    assert json.loads(entry.raw) == {"vote": "down", "comment": "Too <b>long</b>"}
    assert entry.key_name == "app"


async def test_the_last_feedback_stands(served: Served) -> None:
    link = served.link()
    await served.send(link, vote="up", comment="Fine")
    thanks = await served.send(f"{link}?v=up", vote="down")
    [entry] = await served.entries()
    assert (entry.version, entry.value, entry.comment) == (2, -1, "Fine")
    assert 'href="?v=down"' in thanks.text


async def test_whoever_changes_feedback_finds_thumb_and_comment_again_and_may_take_the_comment_out(
    served: Served,
) -> None:
    await served.store.append([exchange()])
    link = served.link()
    await served.send(link, vote="down", comment="Too <b>long</b>")
    for page in (await served.client.get(link), await served.client.get(f"{link}?v=down")):
        assert 'value="down" required checked' in page.text
        assert ">Too &lt;b&gt;long&lt;/b&gt;</textarea>" in page.text
    assert 'value="up" required checked' in (await served.client.get(f"{link}?v=up")).text

    await served.send(link, vote="up", comment="")

    [entry] = await served.entries()
    assert (entry.version, entry.value, entry.comment) == (2, 1, None)
    assert "></textarea>" in (await served.client.get(link)).text


async def test_a_rating_in_helicones_dialect_by_the_same_token_is_the_same_feedback(served: Served) -> None:
    await served.send(served.link(), vote="up")
    bearer = Principal("app", frozenset(), None, FeedbackScope("trace-1", "request-1"))
    rating = thumb_feedback("request-1", is_up=False, raw="{}")
    await FeedbackService(served.store).give([rating], bearer, dialect="helicone", rule=rules.upsert)
    [entry] = await served.entries()
    assert (entry.version, entry.value) == (2, -1)


async def test_others_feedback_is_left_alone(served: Served) -> None:
    app = Principal("app", frozenset({Role.FEEDBACK}))
    rating = thumb_feedback("request-1", is_up=True, raw="{}")
    await FeedbackService(served.store).give([rating], app, dialect="helicone", rule=rules.upsert)
    await served.send(served.link(), vote="down")
    assert {(entry.author, entry.value) for entry in await served.entries()} == {
        (None, 1),
        (TOKEN_AUTHOR, -1),
    }


async def test_a_form_without_feedback_comes_back_with_what_was_written(served: Served) -> None:
    page = await served.send(served.link(), comment="Long & <b>careful</b>")
    assert page.status_code == 400
    assert 'role="alert">Please choose one of the two.' in page.text
    assert "Long &amp; &lt;b&gt;careful&lt;/b&gt;</textarea>" in page.text
    assert await served.entries() == []


async def test_a_beacon_of_a_script_gives_feedback_too(served: Served) -> None:
    """`navigator.sendBeacon(link, new URLSearchParams({vote: "up"}))`, which can send no header of its own."""
    form = {"Content-Type": "application/x-www-form-urlencoded;charset=UTF-8", "Origin": "https://a.example"}
    reply = await served.client.post(served.link(), content=b"vote=up", headers=form)
    assert reply.status_code == 200
    assert len(await served.entries()) == 1


def assert_problem(page: httpx.Response, status: int, *words: str) -> None:
    assert page.status_code == status
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for word in words:
        assert word in page.text
    assert "<form" not in page.text


async def test_a_link_that_is_too_old_or_broken_says_so(served: Served) -> None:
    for broken in (served.link()[:-1], "/f/x", "/f/%FF", "/f/%3Cscript%3E"):
        for page in (await served.client.get(broken), await served.send(broken, vote="up")):
            assert_problem(page, 401, "<h1>This link is incomplete</h1>", "cut off when it was copied")
    served.tokens.keys = token_keys(["a-secret-of-at-least-32-characters"], -1)
    old = served.link()
    for page in (await served.client.get(old), await served.send(old, vote="up")):
        assert_problem(
            page, 401, "<h1>This link has expired</h1>", "could be used until <time", "UTC</time>."
        )
    assert await served.entries() == []


async def test_while_there_are_no_tokens_there_is_no_page(served: Served) -> None:
    link = served.link()
    served.tokens.keys = token_keys([], 60)
    for page in (await served.client.get(link), await served.send(link, vote="up")):
        assert_problem(page, 404, "<h1>There is nothing here</h1>")


async def test_who_gives_feedback_too_often_is_asked_to_wait(served: Served) -> None:
    link = served.link()
    for _ in range(RATE_LIMIT):
        assert (await served.send(link, vote="up")).status_code == 200
    page = await served.send(link, vote="up")
    assert_problem(page, 429, "<h1>That was a little fast</h1>")
    assert int(page.headers["retry-after"]) > 0


async def test_a_store_that_cannot_keep_the_feedback_is_not_thanked_for(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise StoreUnavailable("the disk is full.")

    monkeypatch.setattr(served.store, "put_feedback", refuse)
    page = await served.send(served.link(), vote="up")
    assert_problem(page, 503, "<h1>Your feedback could not be saved</h1>")
    assert "disk" not in page.text
    assert int(page.headers["retry-after"]) > 0


async def test_what_no_form_of_ours_would_send_is_refused_as_a_page(served: Served) -> None:
    link = served.link()
    assert_problem(await served.client.post(link, json={"vote": "up"}), 400, "send the form again")
    assert_problem(await served.send(link, vote="up", comment="x" * 4001), 413, "4,000 characters")
    assert_problem(await served.send(link, vote="up", comment="x" * 70_000), 413, "shorten it")
    assert_problem(await served.client.put(link), 405)
    assert_problem(await served.client.get("/f/a/b"), 404)


async def test_every_page_is_strict_with_scripts_caches_and_other_sites(served: Served) -> None:
    link = served.link()
    for page in (
        await served.client.get(link),
        await served.send(link, vote="up"),
        await served.client.get("/f/x"),
    ):
        policy = page.headers["content-security-policy"]
        assert policy.startswith(
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; form-"
        )
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["x-robots-tag"] == "noindex"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert not re.search(
            r"<script>|<script(?! type=\"module\" src=\"/f/form.js\"></script>)|<style|\sstyle=|\son\w+=|https?://",
            page.text,
        )


async def test_style_and_script_are_there_for_all(served: Served) -> None:
    style, script = [await served.client.get(f"/f/{name}") for name in ("style.css", "form.js")]
    assert (style.status_code, style.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert "prefers-color-scheme: dark" in style.text
    assert (script.status_code, script.headers["content-type"]) == (200, "text/javascript; charset=utf-8")


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-CH,de;q=0.9,en;q=0.8", "de"),
        ("en-GB,en;q=0.9,de;q=0.8", "en"),
        ("fr, de;q=0.5, en;q=0.4", "de"),
        ("de;q=0", "en"),
        ("fr", "en"),
        ("*;;q=,de;q=x", "en"),
    ],
)
def test_the_language_is_the_one_that_the_browser_prefers(accepted: str, language: str) -> None:
    assert texts_for(accepted).language == language


async def test_a_german_reader_is_spoken_to_in_german_throughout(served: Served) -> None:
    german = {"Accept-Language": "de-DE,de;q=0.9,en;q=0.5"}
    await served.store.append([exchange(started_at_us=ASKED_AT_US)])
    link = served.link()
    form = await served.client.get(link, headers=german)
    empty = await served.client.post(link, data={"comment": ""}, headers=german)
    thanks = await served.client.post(link, data={"vote": "down", "comment": "Zu lang"}, headers=german)
    broken = await served.client.get("/f/x", headers=german)
    said = (
        "Antwort vom",
        "Bitte wählen",
        "gespeichert: Schlecht, mit Ihrem Kommentar:",
        "Link ist unvollständig",
    )
    for page, words in zip((form, empty, thanks, broken), said, strict=True):
        assert words in page.text
        assert '<html lang="de">' in page.text
        assert page.headers["content-language"] == "de"
    assert "15. Januar 2027, 08:00 UTC" in form.text


def test_every_text_is_there_in_every_language() -> None:
    assert ENGLISH.errors.keys() == GERMAN.errors.keys()
    assert "{}" in ENGLISH.expired[1]
    assert "{}" in GERMAN.expired[1]


async def test_the_page_names_the_product_that_asks(served: Served) -> None:
    served.pages.app_name = "Acme <Assistant>"
    for page in (await served.client.get(served.link()), await served.client.get("/f/x")):
        assert '<p class="app">Acme &lt;Assistant&gt;</p>' in page.text
        assert "· Acme &lt;Assistant&gt;</title>" in page.text


async def test_a_label_and_stars_of_the_widget_are_understood_and_the_label_kept(served: Served) -> None:
    bearer = Principal("app", frozenset(), None, FeedbackScope("trace-1", "request-1"))
    one_star = replace(
        thumb_feedback("request-1", is_up=True, raw="{}"),
        kind=Kind.RATING,
        scale=star_scale,
        label="off-topic",
    )
    await FeedbackService(served.store).give([one_star], bearer, dialect="native", rule=rules.upsert)
    link = served.link()
    assert checked((await served.client.get(link)).text) == ["down"]
    await served.send(link, vote="down", comment="Really")
    [entry] = await served.entries()
    assert (entry.kind, entry.label, entry.comment, entry.version) == (Kind.THUMB, "off-topic", "Really", 2)
