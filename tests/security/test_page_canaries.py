"""What strangers wrote, in every stored field, shown on the web pages: always text, and nothing of it runs."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest

from tests.gateway_process import RunningGateway
from tests.log_reader import wait_until_interpreted
from tests.raw_http import call, request
from tests.scripted_upstream import UpstreamProcess, answer
from tests.ui_pages import ADMIN_KEY, KEYS, PageSource, sign_in, signed_in

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

MARK = "window.owned=1"
MARKUP = [
    f"<script>{MARK}</script>",
    f"'><img src=x onerror={MARK}>",
    f'" autofocus onfocus="{MARK}" x="',
    f"</textarea></title></script></style><svg onload={MARK}>",
    f"<iframe srcdoc='<script>parent.{MARK}</script>'></iframe><base href=//evil.test/><form action=//evil.test>",
    f"${{{MARK}}}`;{MARK}//</pre><details open ontoggle={MARK}>",
]
MARKDOWN = [
    f"[click](javascript:{MARK}) ![x](https://evil.test/x.png) <https://evil.test>",
    f"[click](data:text/html,<script>{MARK}</script>) [c]: javascript:{MARK}",
    f"[a](JaVaScRiPt&colon;{MARK}) [b](vbscript:{MARK}) <a href=javascript:{MARK}>c</a>",
    f'```"><img src=x onerror={MARK}>\n<script>{MARK}</script>\n```\n| <img src=x onerror={MARK}> |\n|-|\n| b |',
]
HOSTILE = [*MARKUP, *(f"{text} {MARKUP[1]}" for text in MARKDOWN)]

# What only strangers would have put into a page.
FOREIGN = """
const main = document.querySelector("main");
const marks = "script, style, img, iframe, base, object, embed, link, [onload], [onerror], [onfocus], [ontoggle],"
  + " svg[onload], form:not([action^='/ui/'], [method='dialog']), [style], [autofocus]";
const leads = [...main.querySelectorAll("a[href]")].map((each) => each.protocol)
  .filter((each) => !/^(https?|mailto):$/.test(each));
return [...[...main.querySelectorAll(marks)].map((each) => each.outerHTML), ...leads];
"""
WATCH = "window.broken = []; addEventListener('securitypolicyviolation', (event) => broken.push(event.blockedURI))"


@pytest.fixture(scope="module")
def pages(upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway whose store is full of what strangers wrote."""
    config = {"providers": {"up": {"base_url": f"{upstream.url}/v1"}}, "keys": KEYS}
    with RunningGateway(tmp_path_factory.mktemp("canaries"), config) as gateway:
        for at, hostile in enumerate(HOSTILE):
            ask(gateway, upstream, hostile, f"id-{at}")
        wait_until_interpreted(gateway.database)
        yield gateway


def ask(gateway: RunningGateway, upstream: UpstreamProcess, hostile: str, request_id: str) -> None:
    """Make a request, with an answer and feedback that say this wherever they say anything."""
    tool_call = {"id": hostile, "type": "function", "function": {"name": hostile, "arguments": hostile}}
    said = {"role": "assistant", "content": hostile, "refusal": hostile, "tool_calls": [tool_call]}
    reply: dict[str, Any] = {
        "id": hostile,
        "model": hostile,
        "choices": [{"index": 0, "message": said, "finish_reason": hostile}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 5},
    }
    error = {"error": {"message": hostile, "type": hostile, "code": hostile}}
    line = hostile.replace("\n", " ")
    metadata = {
        name: hostile for name in ("_user", "_prompt", "_prompt_version", "_environment", "team", "_session")
    }
    headers = [
        f"Authorization: Bearer {ADMIN_KEY}",
        f"x-portkey-metadata: {json.dumps({**metadata, hostile: hostile})}",
        f"x-portkey-trace-id: {line}"[:500],
        f"x-portkey-span-id: span-{request_id}",
        f"x-portkey-span-name: {line}",
        f"Helicone-Session-Id: {line}",
        f"X-Whatever: {line}",
    ]
    parts = [
        {"type": "text", "text": hostile},
        {"type": "image_url", "image_url": {"url": f"https://evil.test/{hostile}"}},
        {"type": hostile, hostile: hostile},
    ]
    tool = {"type": "function", "function": {"name": hostile, "description": hostile, "parameters": {}}}
    body = {
        "model": hostile,
        "messages": [
            {"role": "system", "content": hostile * 4},
            {"role": hostile, "content": hostile},
            {"role": "user", "name": hostile, "content": parts},
            {"role": "tool", "tool_call_id": hostile, "content": hostile},
        ],
        "tools": [tool],
    }
    for sent, status in ((reply, b"200 OK"), (error, b"400 Bad Request")):
        upstream.default(*answer(json.dumps(sent).encode(), f"X-Whatever: {line}".encode(), status=status))
        named = [*headers, f"Helicone-Request-Id: {request_id}-{status[:3].decode()}"]
        raw = request(
            b"POST",
            b"/v1/chat/completions",
            *(each.encode() for each in named),
            body=json.dumps(body).encode(),
        )
        call(gateway.port, raw)
    given = [
        {"id": f"{request_id}-200", "thumb": "down", "comment": hostile, "label": line, "author": line},
        {"id": f"{request_id}-200", "edited_text": hostile, "metadata": {hostile: hostile}},
        {"id": f"waiting-{line}"[:500], "score": -1, "comment": hostile},
    ]
    with httpx.Client(headers={"Authorization": f"Bearer {ADMIN_KEY}"}, trust_env=False) as client:
        accepted = client.post(f"{gateway.url}/api/v1/feedback", json=given)
        assert accepted.is_success, accepted.text
        vote = {"trace_id": line[:500], "value": -3, "metadata": {"why": hostile}}
        client.post(f"{gateway.url}/v1/feedback", json=vote).raise_for_status()


def rows() -> Iterator[str]:
    """Pages of single rows, and those whose address says what strangers wrote."""
    for at, hostile in enumerate(HOSTILE):
        named = quote(hostile, safe="")
        line = quote(hostile.replace("\n", " ")[:500], safe="")
        yield from (f"/ui/requests/id-{at}-200?tab={tab}" for tab in ("conversation", "headers", "feedback"))
        yield from (f"/ui/requests/id-{at}-400", f"/ui/requests?q={named}")
        yield from (f"/ui/traces/{line}", f"/ui/sessions/{line}", f"/ui/users/{named}", f"/ui/{named}")
        yield from (
            f"/ui/requests?from=all&user={named}",
            f"/ui/feedback?from={named}",
            f"/ui/compare?by={named}",
        )
        yield from (
            f"/ui/requests?{named}={named}",
            f"/ui/requests/id-{at}-200?tab=raw",
            f"/ui/overview?by={named}",
        )


def lists() -> Iterator[str]:
    """Pages that show many rows."""
    yield from (
        "/ui/feedback?from=all",
        "/ui/requests",
        "/ui/sessions",
        "/ui/users",
        "/ui/reviews",
        "/ui/settings",
    )
    yield from (
        "/ui/overview",
        *(f"/ui/compare?by={by}" for by in ("model", "prompt", "user", "metadata.team")),
    )


def test_nothing_that_strangers_wrote_runs_on_a_page(browser: WebDriver, pages: RunningGateway) -> None:
    sign_in(browser, pages, ADMIN_KEY)
    watching = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
    browser.get_log("browser")  # type: ignore[attr-defined]
    # The first pages of each text; what strangers wrote is put into the others alike.
    shown = [path for path in rows() if re.search(r"/id-|/traces/|[?]q=", path)]
    for path in [*lists(), *shown]:
        browser.get(pages.url + path)
        browser.execute_script("for (const each of document.querySelectorAll('details')) each.open = true")
        assert browser.execute_script("return window.owned ?? null") is None, path
        assert browser.execute_script("return window.broken") == [], path
        assert browser.execute_script(FOREIGN) == [], path
    said = [each for each in browser.get_log("browser") if "status of 4" not in each["message"]]  # type: ignore[attr-defined]
    assert said == []
    browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", watching)


def test_what_strangers_wrote_is_there_as_text(pages: RunningGateway) -> None:
    with signed_in(pages, ADMIN_KEY) as client:
        for path in [*lists(), *rows()]:
            reply = client.get(path)
            assert reply.status_code < 500, path
            source = PageSource.read(pages.url, reply.text)
            assert source.inline == [], path
            assert all(url.startswith(f"{pages.url}/ui/static/") for url in source.loaded), path
            assert not [
                link for link in source.links if re.match(r"\s*(javascript|vbscript|data):", link, re.I)
            ]
        for at, hostile in enumerate(HOSTILE):
            shown = html.unescape(client.get(f"/ui/requests/id-{at}-200?tab=feedback").text)
            assert f"“{hostile}”" in shown
