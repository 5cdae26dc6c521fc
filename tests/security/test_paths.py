"""Paths in odd spellings: none leads out of a folder, around a key, or to a provider."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import StartGateway
from tests.gateway_fixtures import APP_KEY, READ_KEY
from tests.gateway_process import RunningGateway
from tests.raw_http import Response, call, request
from tests.scripted_upstream import UpstreamProcess, answer
from tests.test_routes import ODD_SPELLINGS

CANARY = "canary-in-a-file-that-is-nobody-s"

STEPS_UP = [
    "../", "..%2f", "%2e%2e/", "%2e%2e%2f", "%252e%252e%252f", "..\\", "..%5c", "....//", "..;/", "..%c0%af",
    "%00/../", ".%00./", "//", "/%2e/",
]  # fmt: skip
"""Ways to say: the folder above. Some mean nothing, to all but a few servers of the past."""

DOORS = [
    "/v1/logs/exports/{}", "/v1/logs/exports/{}/file?expires=9999999999&signature=0",
    "/v1/logs/exports/{}/download", "/f/{}", "/f/style.css/{}", "/docs/{}", "/docs/feedback/{}",
    "/openapi.json/{}", "/ui/{}", "/api/v1/requests/{}",
    "/api/v1/requests/{}?raw=request", "/api/v1/traces/{}", "/api/v1/feedback/{}", "/v1/request/{}", "/v1/logs/{}",
    "/api/feedback/{}", "/v1/feedback/{}",
]  # fmt: skip
"""Where an id or the name of a file is taken from the path, and beside where files are."""

KEY_TAKEN = [
    "/v1/logs/exports",
    "/v1/request/x",
    "/api/v1/requests",
    "/api/feedback",
    "/metrics",
    "/v1/feedback",
]


@pytest.fixture
def treasure(start_gateway: StartGateway, upstream: UpstreamProcess) -> RunningGateway:
    """An open gateway with something beside its database that must not come out, and an exports folder."""
    gateway = start_gateway({"providers": {"up": {"base_url": f"{upstream.url}/v1"}}})
    for folder in (gateway.folder, gateway.folder.parent):
        (folder / "secret.jsonl").write_text(CANARY)
    (gateway.folder / "gateway.db.exports").mkdir(mode=0o700, exist_ok=True)
    return gateway


def names_of(gateway: RunningGateway) -> Iterator[str]:
    """Names that lead, step by step, to the files, if anybody took the steps; and absolute ones."""
    for step in STEPS_UP:
        for depth in (1, 2, 3):
            yield f"{step * depth}secret.jsonl"
    for file in (gateway.folder / "secret.jsonl", gateway.config_file, gateway.database):
        yield str(file)
        yield str(file).replace("/", "%2f")
        yield f"file:%2f%2f{file}"
    yield from ("secret.jsonl%00.css", "%00", "%", "%zz", "~", "." * 1000, "%2e" * 300)


def test_no_id_or_name_in_a_path_leads_to_a_file(treasure: RunningGateway, upstream: UpstreamProcess) -> None:
    config = treasure.config_file.read_text()
    upstream.take()
    for door in DOORS:
        for name in names_of(treasure):
            answered = call(treasure.port, request(b"GET", door.format(name).encode()))
            assert answered.status in (400, 401, 403, 404, 405, 409), (door, name)
            assert CANARY.encode() not in answered.body
            assert config[:40].encode() not in answered.body
            assert b"SQLite format" not in answered.body
    assert upstream.take() == []


def test_a_link_to_an_export_opens_no_other_file(treasure: RunningGateway) -> None:
    client = httpx.Client(base_url=treasure.url, trust_env=False)
    window = {
        "time_of_generation_min": "2020-01-01T00:00:00Z",
        "time_of_generation_max": "2020-01-02T00:00:00Z",
    }
    job = {"filters": window, "requested_data": ["id"]}
    with client:
        export_id = client.post("/v1/logs/exports", json=job).raise_for_status().json()["id"]
        client.post(f"/v1/logs/exports/{export_id}/start").raise_for_status()
        while client.get(f"/v1/logs/exports/{export_id}").json()["status"] != "success":
            pass
        link = client.get(f"/v1/logs/exports/{export_id}/download").json()["signed_url"]
        path, query = link.removeprefix(treasure.url).split("?")
        assert client.get(f"{path}?{query}").status_code == 200
        for name in names_of(treasure):
            target = f"{path.replace(export_id, name)}?{query}"
            answered = call(treasure.port, request(b"GET", target.encode()))
            assert answered.status in (400, 403, 404), name
            assert CANARY.encode() not in answered.body


def spellings(path: str) -> Iterator[str]:
    """The path in every spelling that some server takes for the same."""
    for spell in ODD_SPELLINGS:
        yield spell(path)
    yield path + "\\"
    yield path + "/%2e%2e/" + path.rpartition("/")[2]
    yield path.replace("/", "/%2f", 1)
    yield path.replace("v1", "V1")


def asked(gateway: RunningGateway, method: bytes, target: str, *fields: bytes) -> Response:
    return call(gateway.port, request(method, target.encode(), *fields, body=b"{}"))


@pytest.mark.parametrize("path", KEY_TAKEN)
def test_no_spelling_of_a_path_gets_around_its_key(
    guarded: RunningGateway, upstream: UpstreamProcess, path: str
) -> None:
    upstream.default(*answer(b"from the provider"))
    upstream.take()
    for target in spellings(path):
        for method in (b"GET", b"POST"):
            for key in ((), (b"x-portkey-api-key: wrong",), (b"x-portkey-api-key: " + APP_KEY.encode(),)):
                answered = asked(guarded, method, target, *key)
                refusals = {400, 401, 403, 404, 405}
                if path == "/api/feedback" and APP_KEY.encode() in b"".join(key):
                    # Any key gives feedback there, and an empty body is none.
                    refusals.add(422)
                assert answered.status in refusals, (target, key, answered.body)
    assert upstream.take() == []


def test_with_the_key_the_plain_path_opens(guarded: RunningGateway) -> None:
    key = b"x-portkey-api-key: " + READ_KEY.encode()
    for path in ("/v1/logs/exports", "/v1/logs/exports/", "/api/v1/requests", "/metrics"):
        assert asked(guarded, b"GET", path, key).status == 200


@pytest.mark.parametrize("spelling", ["/up/", "/UP/", "/%75p/", "//up/", "/x/../up/", "/up;a=1/", "/up%2f"])
def test_no_spelling_of_a_provider_s_path_gets_around_the_key(
    guarded: RunningGateway, upstream: UpstreamProcess, spelling: str
) -> None:
    upstream.take()
    for path in (spelling.replace("up", "plain").replace("UP", "PLAIN"), "/v1/", "/V1/", "/v1;a/", "//v1/"):
        for key in ((), (b"Authorization: Bearer sk-own",), (b"x-portkey-api-key: " + READ_KEY.encode(),)):
            assert asked(guarded, b"POST", f"{path}chat/completions", *key).status in (400, 401, 403, 404)
    assert upstream.take() == []
