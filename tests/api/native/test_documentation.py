from __future__ import annotations

import re
from pathlib import Path

import httpx

from gateway.api.native.routes import prose_to_html
from gateway.store.base import Store

from .served import face_over

DOCS = Path(__file__).parents[3] / "docs"
REFERENCE = ("api.md", "analytics.md", "data.md", "feedback.md", "keys.md")


async def test_the_document_and_its_page_are_open_to_all(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as stranger:
        document = await stranger.get("/openapi.json")
        page = await stranger.get("/docs")
    assert document.json()["info"]["version"] == "1.2.3"
    assert page.headers["Content-Type"].startswith("text/html")


async def test_the_page_names_every_operation_parameter_and_shape(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    page = (await client.get("/docs")).text
    for path, operations in document["paths"].items():
        assert path in page
        for operation in operations.values():
            assert f'id="{operation["operationId"]}"' in page
            for parameter in operation.get("parameters", []):
                assert f"<code>{parameter['name']}</code>" in page
    for name in document["components"]["schemas"]:
        assert f'id="schema-{name}"' in page


async def test_every_link_on_the_page_leads_somewhere(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    links = re.findall(r'href="([^"]+)"', page)
    anchors = {f"#{anchor}" for anchor in re.findall(r'id="([^"]+)"', page)}
    assert {link for link in links if link.startswith("#")} <= anchors
    for link in {link for link in links if not link.startswith("#")}:
        assert (await client.get(link)).status_code == 200


async def test_the_page_needs_no_script_and_allows_none(client: httpx.AsyncClient) -> None:
    answer = await client.get("/docs")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'")
    assert "unsafe" not in policy
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=|https?://", answer.text)
    assert (await client.get("/docs/style.css")).headers["Content-Type"].startswith("text/css")


def test_prose_is_escaped_and_code_is_marked() -> None:
    assert prose_to_html("a `<b>` & c\n\nd") == "<p>a <code>&lt;b&gt;</code> &amp; c</p><p>d</p>"


def test_the_written_reference_names_every_path_and_parameter(store: Store) -> None:
    text = "".join((DOCS / page).read_text() for page in REFERENCE)
    for endpoint in face_over(store).endpoints:
        assert re.sub(r":[^{}]*\}", "}", endpoint.path) in text
        for parameter in endpoint.query.parameters() if endpoint.query else ():
            assert f"`{parameter.name}`" in text
