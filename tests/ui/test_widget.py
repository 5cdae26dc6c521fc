"""`/widget.js` as it is served: small, cacheable, and free to be loaded by any page."""

from __future__ import annotations

from pathlib import Path

from .served import Served

SCRIPT = Path(__file__).parents[2] / "gateway" / "ui" / "static" / "widget.js"

MAX_BYTES = 6000


async def test_the_widget_is_small_and_may_be_loaded_by_any_page(served: Served) -> None:
    reply = await served.client.get("/widget.js", headers={"Origin": "https://app.example.com"})
    assert reply.content == SCRIPT.read_bytes()
    assert len(reply.content) <= MAX_BYTES
    assert reply.headers["content-type"] == "text/javascript; charset=utf-8"
    assert reply.headers["cache-control"] == "public, max-age=3600"
    assert reply.headers["cross-origin-resource-policy"] == "cross-origin"
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["x-content-type-options"] == "nosniff"


async def test_a_browser_that_has_the_widget_is_not_sent_it_again(served: Served) -> None:
    etag = (await served.client.get("/widget.js")).headers["etag"]
    known = await served.client.get("/widget.js", headers={"If-None-Match": etag})
    other = await served.client.get("/widget.js", headers={"If-None-Match": '"other"'})
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", etag)
    assert other.status_code == 200
    wrong = await served.client.post("/widget.js")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD")


def test_the_widget_runs_under_a_strict_policy_and_loads_nothing() -> None:
    script = SCRIPT.read_text()
    for forbidden in ("innerHTML", "insertAdjacentHTML", "eval(", "new Function", "import(", "setAttribute("):
        assert forbidden not in script
