"""Who is signed in on the pages: cookies, forms that others forge, and addresses that lead elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from gateway.auth.sign_ins import COOKIE
from gateway.models.ids import new_id
from tests.gateway_process import RunningGateway
from tests.log_reader import query
from tests.ui_pages import (
    ADMIN_KEY,
    KEYS,
    READER_KEY,
    REVIEWER_KEY,
    form_token,
    page_endpoints,
    signed_in,
)

ELSEWHERE = [
    "https://evil.test/",
    "//evil.test/ui/",
    "/\\evil.test",
    "/ui/\\..\\..\\evil.test",
    "/ui/\r\nSet-Cookie: a=b",
    "javascript:alert(1)",
    "/ui/sign-out",
    "/v1/models",
    "ui/feedback",
]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with RunningGateway(tmp_path_factory.mktemp("pages"), {"keys": KEYS}, arguments=("--demo",)) as gateway:
        call = {"model": "demo-chat", "messages": [{"role": "user", "content": "Hello"}], "user": "anna"}
        key = {"Authorization": f"Bearer {ADMIN_KEY}", "Helicone-Request-Id": "request-1"}
        httpx.post(f"{gateway.url}/v1/chat/completions", json=call, headers=key).raise_for_status()
        yield gateway


def state_of(gateway: RunningGateway) -> list[tuple[object, ...]]:
    """All that the forms of pages change."""
    tables = ("feedback", "reviews", "keys", "webhooks", "rules", "datasets", "exports")
    counts = [tuple(query(gateway.database, f"SELECT count(*) FROM {table}")[0]) for table in tables]
    return [*counts, *map(tuple, query(gateway.database, "SELECT user FROM requests"))]


def forms() -> Iterator[tuple[str, dict[str, str]]]:
    """Every form of the pages, filled so that it would do something."""
    fields = {
        "/ui/sign-in": {"key": READER_KEY},
        "/ui/sign-out": {},
        "/ui/feedback": {"give": "down", "request_id": "request-1"},
        "/ui/reviews": {"state": "reviewed", "request_id": "request-1"},
        "/ui/reviews/next": {"from": "all"},
        "/ui/settings/keys": {"name": new_id(), "role": "read"},
        "/ui/settings/keys/revoke": {"name": "made"},
        "/ui/users/{user}/erase": {"name": "anna"},
        "/ui/alerts": {"name": "a", "measure": "cost", "direction": "above", "threshold": "1"},
        "/ui/alerts/preview": {"measure": "cost", "direction": "above", "threshold": "1", "days": "1"},
        "/ui/settings/webhooks": {"url": "https://192.0.2.1/", "export.done": "on"},
        "/ui/settings/webhooks/change": {"webhook_id": "ep_1", "action": "remove"},
        "/ui/settings/webhooks/resend": {"delivery_id": "msg_1"},
        "/ui/datasets": {"name": new_id()},
        "/ui/datasets/{name}": {"action": "delete"},
        "/ui/exports": {"format": "csv"},
        "/ui/exports/{export_id}": {"action": "start"},
        "/ui/settings/rules": {"name": new_id(), "label": "x"},
        "/ui/settings/rules/change": {"rule_id": "rule_1", "action": "remove"},
    }
    for endpoint in page_endpoints("POST"):
        yield endpoint.path_template.replace("{user}", "anna"), fields[endpoint.path_template]


def test_no_form_is_taken_that_is_not_from_our_own_page(pages: RunningGateway) -> None:
    with signed_in(pages, ADMIN_KEY) as client, signed_in(pages, ADMIN_KEY) as other:
        before = state_of(pages)
        good, host = form_token(client, "/ui/settings"), client.base_url.netloc.decode()
        tokens = {
            "none": "",
            "cut": good[:-1],
            "other nonce": "0" * 32 + good[32:],
            "of another sign-in": form_token(other, "/ui/settings"),
            "of nobody": form_token(client, "/ui/sign-in"),
        }
        foreign = [
            {"Origin": "https://evil.test"},
            {"Origin": "null"},
            {"Origin": f"http://{host}", "Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": f"http://localhost:{client.base_url.port}"},
        ]
        for path, fields in forms():
            for kind, token in tokens.items():
                if path == "/ui/sign-in" and kind == "of nobody":
                    continue
                reply = client.post(path, data={**fields, "form_token": token})
                assert reply.status_code == 403, (path, kind)
                assert "set-cookie" not in reply.headers
            for headers in foreign:
                reply = client.post(path, data={**fields, "form_token": good}, headers=headers)
                assert reply.status_code == 403, (path, headers)
            as_json = client.post(path, json={**fields, "form_token": good})
            assert as_json.status_code == 400, path
        assert state_of(pages) == before
        assert client.get("/ui/settings").status_code == 200, "still signed in"


def test_forms_of_our_own_page_are_taken(pages: RunningGateway) -> None:
    with signed_in(pages, ADMIN_KEY) as client:
        own = {"Origin": str(client.base_url), "Sec-Fetch-Site": "same-origin"}
        token = form_token(client, "/ui/settings")
        for path, fields in forms():
            if path in ("/ui/feedback", "/ui/reviews", "/ui/settings/keys"):
                reply = client.post(path, data={**fields, "form_token": token}, headers=own)
                assert reply.status_code in (200, 303), (path, reply.text)


def test_a_key_without_the_role_sends_no_form(pages: RunningGateway) -> None:
    readers = {"/ui/sign-in", "/ui/sign-out", "/ui/alerts/preview", "/ui/exports", "/ui/exports/{export_id}"}
    allowed = {
        READER_KEY: readers,
        REVIEWER_KEY: {
            *readers,
            "/ui/feedback",
            "/ui/reviews",
            "/ui/reviews/next",
            "/ui/datasets",
            "/ui/datasets/{name}",
        },
    }
    for key, paths in allowed.items():
        with signed_in(pages, key) as client:
            token = form_token(client, "/ui/settings")
            for path, fields in forms():
                if path not in paths:
                    reply = client.post(path, data={**fields, "form_token": token})
                    assert reply.status_code == 403, path
                    assert "role" in reply.text


def test_nobody_reads_a_page_without_signing_in(pages: RunningGateway) -> None:
    open_to_all = {"/ui/sign-in", "/ui/static/{name}", "/ui"}
    with httpx.Client(base_url=pages.url, trust_env=False) as client:
        for endpoint in page_endpoints("GET"):
            if endpoint.path_template not in open_to_all:
                path = f"{endpoint.path_template}?from=7d"
                reply = client.get(path)
                assert reply.status_code == 303, path
                there = urlsplit(reply.headers["location"])
                assert there.path == "/ui/sign-in"
                assert parse_qs(there.query) == {"next": [reply.request.url.raw_path.decode()]}


def test_every_page_forbids_scripts_of_others_and_frames(pages: RunningGateway) -> None:
    with signed_in(pages, ADMIN_KEY) as client:
        for endpoint in page_endpoints("GET"):
            path = endpoint.path_template.replace("{request_id}", "request-1").replace("{user}", "anna")
            with client.stream("GET", path, follow_redirects=True) as reply:
                headers = reply.headers
            assert headers["x-content-type-options"] == "nosniff", path
            if not headers["content-type"].startswith("text/html"):
                assert "public" not in headers["cache-control"] or "/static/" in path
                continue
            policy = dict(
                part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";")
            )
            assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'", path
            assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'", path
            assert headers["x-frame-options"] == "DENY"
            assert headers["cache-control"] == "no-store", path
            assert headers["referrer-policy"] == "same-origin"


def test_a_cookie_of_before_the_sign_in_is_never_one_of_after(pages: RunningGateway) -> None:
    planted = "a-value-that-somebody-else-knows"
    with httpx.Client(base_url=pages.url, trust_env=False, cookies={COOKIE: planted}) as client:
        fields = {"form_token": form_token(client, "/ui/sign-in"), "key": ADMIN_KEY}
        reply = client.post("/ui/sign-in", data=fields)
        given = [part.strip() for part in reply.headers["set-cookie"].split(";")]
    assert planted not in given[0]
    assert {"HttpOnly", "SameSite=Strict", "Path=/ui"} <= set(given[1:])
    assert "Secure" not in given
    for cookie, status in ((planted, 303), (given[0].partition("=")[2], 200)):
        assert httpx.get(f"{pages.url}/ui/overview", cookies={COOKIE: cookie}).status_code == status


def test_the_cookie_is_secure_behind_https(pages: RunningGateway) -> None:
    with httpx.Client(base_url=pages.url, trust_env=False) as client:
        fields = {"form_token": form_token(client, "/ui/sign-in"), "key": ADMIN_KEY}
        reply = client.post("/ui/sign-in", data=fields, headers={"X-Forwarded-Proto": "https"})
        assert "; Secure" in reply.headers["set-cookie"]


def test_the_cookie_opens_no_api(pages: RunningGateway) -> None:
    with signed_in(pages, ADMIN_KEY) as client:
        cookie = {"Cookie": f"{COOKIE}={client.cookies[COOKIE]}"}
        for path in ("/api/v1/requests", "/v1/models", "/metrics", "/v1/logs/exports"):
            assert httpx.get(pages.url + path, headers=cookie).status_code == 401, path


def test_after_signing_out_the_cookie_opens_nothing(pages: RunningGateway) -> None:
    with signed_in(pages, ADMIN_KEY) as client:
        cookie, token = client.cookies[COOKIE], form_token(client, "/ui/settings")
        reply = client.post("/ui/sign-out", data={"form_token": token})
        assert (reply.status_code, reply.headers["location"]) == (303, "/ui/sign-in")
        assert COOKIE not in client.cookies
        client.cookies.set(COOKIE, cookie)
        assert client.get("/ui/overview").status_code == 303
        made = {"form_token": token, "name": "after", "role": "admin"}
        assert client.post("/ui/settings/keys", data=made).status_code == 401


def test_a_key_that_is_revoked_ends_its_sign_ins(pages: RunningGateway) -> None:
    with signed_in(pages, ADMIN_KEY) as admin:
        made = {"form_token": form_token(admin, "/ui/settings"), "name": "short", "role": "review"}
        page = admin.post("/ui/settings/keys", data=made).raise_for_status().text
        key = page.partition('<code id="token">')[2].partition("<")[0]
        assert key not in admin.get("/ui/settings").text, "it is shown once"
        with signed_in(pages, key) as person:
            token = form_token(person, "/ui/settings")
            assert person.get("/ui/overview").status_code == 200
            revoke = {"form_token": made["form_token"], "name": "short"}
            assert admin.post("/ui/settings/keys/revoke", data=revoke).status_code == 303
            assert person.get("/ui/overview").status_code == 303
            given = {"form_token": token, "give": "up", "request_id": "request-1"}
            assert person.post("/ui/feedback", data=given).status_code == 401


@pytest.mark.parametrize("target", ELSEWHERE)
def test_a_sign_in_leads_to_no_other_site(pages: RunningGateway, target: str) -> None:
    with httpx.Client(base_url=pages.url, trust_env=False) as client:
        shown = client.get("/ui/sign-in", params={"next": target}).text
        assert 'name="next" value="/ui/feedback"' in shown
        fields = {"form_token": form_token(client, "/ui/sign-in"), "key": ADMIN_KEY, "next": target}
        assert client.post("/ui/sign-in", data=fields).headers["location"] == "/ui/feedback"
        given = {"give": "up", "request_id": "request-1", "return_to": target}
        given["form_token"] = form_token(client, "/ui/settings")
        assert client.post("/ui/feedback", data=given).headers["location"] == "/ui/feedback"


@pytest.mark.parametrize("key", ["", "wrong", "gw-ann-012345678", "Bearer", "\x00", "é" * 200])
def test_a_wrong_key_is_refused_with_a_reason_and_no_cookie(pages: RunningGateway, key: str) -> None:
    with httpx.Client(base_url=pages.url, trust_env=False) as client:
        fields = {"form_token": form_token(client, "/ui/sign-in"), "key": key}
        reply = client.post("/ui/sign-in", data=fields)
        assert reply.status_code == 401
        assert 'role="alert"' in reply.text
        assert "set-cookie" not in reply.headers
        assert not key.strip("\x00") or f'value="{key}"' not in reply.text
