"""The pages at /docs: every operation on one of them, no dead link, the same for readers with and without a key."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver

from gateway.ui.api_reference import breakable, prose_to_html
from tests.gateway_process import RunningGateway

from .documented_examples import CONFIG, KEY, NOT_SENT, REPLIES, Examples

MAX_COMPRESSED_BYTES = 60_000


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("documented")
    with RunningGateway(folder, CONFIG, arguments=("--demo",)) as running:
        yield running


@pytest.fixture(scope="module")
def client(gateway: RunningGateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, trust_env=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(client: httpx.Client) -> dict[str, str]:
    index = client.get("/docs").text
    paths = dict.fromkeys(re.findall(r'href="(/docs/[a-z-]+)"', index))
    return {"/docs": index, **{path: client.get(path).text for path in paths}}


def test_each_operation_parameter_and_field_is_on_a_page(client: httpx.Client, pages: dict[str, str]) -> None:
    document = client.get("/openapi.json").json()
    assert len(pages) == len(document["tags"]) + 1
    assert all(tag["description"] and tag["name"] == tag["name"].strip() for tag in document["tags"])
    whole = "".join(pages.values()).replace("<wbr>", "")
    for path, operations in document["paths"].items():
        for operation in operations.values():
            page = next(text for text in pages.values() if f'id="{operation["operationId"]}"' in text)
            page = page.replace("<wbr>", "")
            assert f"<code>{path}</code>" in page
            for parameter in operation.get("parameters", []):
                assert f"<code>{parameter['name']}</code>" in page
    for schema in document["components"]["schemas"].values():
        for name in schema.get("properties", {}):
            assert f"<code>{name}</code>" in whole


def test_every_link_leads_somewhere(client: httpx.Client, pages: dict[str, str]) -> None:
    ids = {path: set(re.findall(r'\bid="([^"]+)"', text)) for path, text in pages.items()}
    others = set()
    for path, text in pages.items():
        for link in map(unescape, re.findall(r'(?:href|src)="([^"]+)"', text)):
            target, _, anchor = link.partition("#")
            if anchor:
                assert anchor in ids[target or path], (path, link)
            elif target not in pages:
                others.add(target)
    for link in others:
        assert client.get(link, headers={"Accept": "text/html"}).status_code in (200, 302, 303), link


def test_pages_are_light_and_browsers_need_them_once(client: httpx.Client, pages: dict[str, str]) -> None:
    for path, text in pages.items():
        assert len(re.findall(r'<(?:script|link|img)\b[^>]*(?:src|href)="', text)) < 12
        with client.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as reply:
            assert sum(map(len, reply.iter_raw())) <= MAX_COMPRESSED_BYTES, path
        again = client.get(path, headers={"If-None-Match": reply.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_pages_run_no_script_but_their_own(client: httpx.Client, pages: dict[str, str]) -> None:
    for path, text in pages.items():
        assert not re.search(
            r"<script(?! type=\"module\" src=\"/ui/static/)|<style|\sstyle=|\son\w+=\"", text
        ), path
    assert "unsafe" not in client.get("/docs").headers["Content-Security-Policy"]


def test_the_first_call_has_this_gateways_url_and_the_form_of_the_key(client: httpx.Client) -> None:
    page = unescape(client.get("/docs", headers={"Host": "llm.example.org"}).text)
    assert "curl -i http://llm.example.org/v1/chat/completions" in page
    assert '-H "x-portkey-api-key: $GATEWAY_KEY"' in page
    assert "gateway.invalid" not in page


def test_a_search_finds_operations_by_words_of_their_texts(client: httpx.Client) -> None:
    page = client.get("/docs", params={"q": "Erase  USER"}).text
    assert 'href="/docs/users#delete_api_v1_users_user"' in page.partition('class="results"')[2]
    nothing = client.get("/docs", params={"q": "no-such-<b>"}).text
    assert "0 operations with “no-such-&lt;b&gt;”" in nothing


def test_the_list_beside_follows_what_is_typed_and_nothing_is_wider_than_a_phone(
    browser: WebDriver, gateway: RunningGateway, pages: dict[str, str]
) -> None:
    browser.get(f"{gateway.url}/docs/keys")
    browser.find_element(By.ID, "find-operation").send_keys("ERASE user")
    links = browser.find_elements(By.CSS_SELECTOR, ".side [data-operation]")
    shown = [link.get_attribute("href") for link in links if link.is_displayed()]
    assert shown == [f"{gateway.url}/docs/users#delete_api_v1_users_user"]
    browser.set_window_size(500, 800)
    for path in pages:
        browser.get(gateway.url + path)
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth"), path


def test_a_page_that_is_not_there_says_which_are(client: httpx.Client) -> None:
    reply = client.get("/docs/nothing")
    assert (reply.status_code, "traces-and-sessions" in reply.text) == (404, True)


def test_the_bar_shows_who_is_signed_in(gateway: RunningGateway, client: httpx.Client) -> None:
    stranger = bar_of(client.get("/docs").text)
    assert "Sign in" in stranger
    assert "/ui/requests" not in stranger
    with httpx.Client(base_url=gateway.url, trust_env=False) as reader:
        form = token_of(reader.get("/ui/sign-in").text)
        fields = {"key": KEY, "form_token": form, "next": "/docs/keys"}
        assert reader.post("/ui/sign-in", data=fields).headers["location"] == "/docs/keys"
        page = reader.get("/docs/keys").text
        assert "/ui/requests" in bar_of(page)
        reader.post("/ui/sign-out", data={"form_token": token_of(page)})
        assert "Sign in" in bar_of(reader.get("/docs/keys").text)


def bar_of(page: str) -> str:
    return page.partition("<header")[2].partition("</header>")[0]


def token_of(page: str) -> str:
    found: Any = re.search(r'name="form_token" value="([^"]+)"', page)
    return str(found[1])


def test_each_example_is_answered_as_the_documentation_shows(gateway: RunningGateway) -> None:
    examples = Examples(gateway.url)
    examples.fill()
    recorded = json.loads(REPLIES.read_text())
    sent = set()
    for answer in examples.send_all():
        assert answer.response.status_code == httpx.codes.OK, (answer.id, answer.response.text)
        sent.add(answer.id)
        if answer.json is None:
            continue
        assert "example" in answer.content["application/json"], answer.id
        shown = answer.content["application/json"]["example"]
        assert shown == recorded.pop(answer.id), answer.id
        schema = {
            **answer.content["application/json"]["schema"],
            "components": examples.document["components"],
        }
        for reply in (answer.json, shown):
            assert not [error.message for error in Draft202012Validator(schema).iter_errors(reply)], answer.id
        assert names_of(shown) == names_of(answer.json), (
            f"{answer.id}: run python -m tests.ui.documented_examples"
        )
    examples.close()
    documented = {
        operation["operationId"]: operation
        for operations in examples.document["paths"].values()
        for operation in operations.values()
    }
    assert (sent | NOT_SENT, recorded) == (set(documented), {})
    for name, operation in documented.items():
        content = operation.get("requestBody", {}).get("content", {})
        assert "example" in content.get("application/json", {"example": None}), name


def names_of(reply: Any) -> set[str]:
    """The names of a reply's own fields, of those of its first item where it is a list."""
    if isinstance(reply, list):
        return names_of(reply[0]) if reply else set()
    return set(reply) if isinstance(reply, dict) else set()


def test_prose_is_escaped_and_code_is_marked() -> None:
    assert prose_to_html("a `<b>` & c\n\nd") == "<p>a <code>&lt;b&gt;</code> &amp; c</p><p>d</p>"


def test_names_break_between_words() -> None:
    assert breakable("/v1/request_id") == "/<wbr>v1/<wbr>request_<wbr>id"
