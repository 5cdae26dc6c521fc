"""Bodies that are small on the wire and huge in memory: what a gateway takes for them stays within bounds."""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import brotli
import httpx
import pytest
import zstandard

from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, row, wait_until_interpreted
from tests.raw_http import call, request
from tests.scripted_upstream import UpstreamProcess, answer

MIB = 1024 * 1024

TAKEN_MIB = 250
"""How much more memory a call may take: some copies of the 16 MiB that are unpacked of each body."""

SHOWN_MIB = 450
"""How much more a question may take: the 64 MiB of bodies that are shown at once, the answer that is made of them
in room that doubles as it grows, and one body parsed. To parse a whole bomb takes gigabytes."""

PIECES = {
    "lists": b"[]," * (MIB // 3),
    "objects": b'{"":0},' * (MIB // 7),
    "events": b"data:0\n\n" * (MIB // 8),
}
STARTS = {"lists": b'{"model": "m", "a": [', "objects": b'{"a": [', "events": b""}

BOMBS = [("gzip", "lists"), ("deflate", "objects"), ("br", "lists"), ("zstd", "events")]


@cache
def squeezed(coding: str, what: str) -> bytes:
    """A gigabyte, squeezed; an eighth of that under codings that cannot say it in parts."""
    pack = PACKERS[coding]
    if coding in ("deflate", "br"):
        return pack(STARTS[what] + PIECES[what] * 128)
    return pack(STARTS[what]) + pack(PIECES[what] * 16) * 64


PACKERS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda body: brotli.compress(body, quality=1),
    "zstd": zstandard.ZstdCompressor(level=1).compress,
}


class Watched:
    """A gateway whose memory is watched."""

    def __init__(self, gateway: RunningGateway) -> None:
        self.gateway = gateway
        self.client = httpx.Client(base_url=gateway.url, timeout=60, trust_env=False)
        self._before = self._mib("VmRSS")

    def check(self, room_mib: int = TAKEN_MIB) -> None:
        """Check how much more was taken at most than there was at the last check."""
        taken_mib = self._mib("VmHWM") - self._before
        # This resets the mark of the most that was resident (proc(5)).
        Path(f"/proc/{self.gateway.pid}/clear_refs").write_text("5")
        self._before = self._mib("VmRSS")
        assert taken_mib < room_mib

    def _mib(self, name: str) -> float:
        status = Path(f"/proc/{self.gateway.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith(f"{name}:")]
        return int(line.split()[1]) / 1024


@pytest.fixture(scope="module")
def watched(upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    provider = {"base_url": f"{upstream.url}/v1"}
    providers = {"up": provider, "redacted": {**provider, "payloads": "redacted"}}
    config = {"default_provider": "up", "providers": providers}
    with RunningGateway(tmp_path_factory.mktemp("bombs"), config) as gateway:
        found = Watched(gateway)
        with found.client:
            yield found


def explode(watched: Watched, upstream: UpstreamProcess, coding: str, bomb: bytes, trace: str) -> None:
    """Send a bomb as a request, and have it come back as the answer."""
    encoding = f"Content-Encoding: {coding}".encode()
    script = upstream.script(*answer(bomb, encoding))
    for path in ("/v1/chat/completions", "/redacted/messages"):
        ids = f"Helicone-Request-Id: {trace}-{path.split('/')[1]}".encode()
        answered = call(
            watched.gateway.port, request(b"POST", path.encode(), script, encoding, ids, body=bomb)
        )
        assert answered.body == bomb
    wait_until_interpreted(watched.gateway.database)


@pytest.mark.parametrize(("coding", "what"), BOMBS)
def test_a_gigabyte_in_a_small_body_is_logged_found_shown_and_exported_within_bounds(
    watched: Watched, upstream: UpstreamProcess, coding: str, what: str
) -> None:
    bomb = squeezed(coding, what)
    assert len(bomb) < 6 * MIB
    explode(watched, upstream, coding, bomb, f"{coding}-{what}")
    watched.check()
    for question in questions(f"{coding}-{what}-v1"):
        assert question(watched.client).status_code in (200, 413)
        watched.check(SHOWN_MIB)
    export(watched.client)
    watched.check(SHOWN_MIB)


def test_a_bomb_within_a_bomb_does_no_more(watched: Watched, upstream: UpstreamProcess) -> None:
    bomb = gzip.compress(squeezed("gzip", "lists"))
    assert len(bomb) < 100_000
    explode(watched, upstream, "gzip, gzip", bomb, "twice")
    watched.check()
    assert watched.client.get("/api/v1/requests/twice-v1").json()["request"]["body"]["truncated"]
    watched.check(SHOWN_MIB)


def test_many_bombs_at_once_hold_up_no_other_caller_for_long(
    watched: Watched, upstream: UpstreamProcess
) -> None:
    bomb = squeezed("zstd", "lists")
    script = upstream.script(*answer(bomb, b"Content-Encoding: zstd"))
    for number in range(8):
        fields = b"Content-Encoding: zstd", b"x-portkey-trace-id: many-%d" % number
        call(watched.gateway.port, request(b"POST", b"/v1/messages", script, *fields, body=bomb))
    assert watched.client.get("/healthz").status_code == 200
    wait_until_interpreted(watched.gateway.database)
    note = row(watched.gateway.database, "many-7")["note"]
    assert "the request could not be decompressed to its end" in note
    watched.check(SHOWN_MIB)


@pytest.mark.parametrize("path", ["/v1/feedback", "/api/feedback", "/v1/request/r/feedback", "/v1/logs"])
def test_feedback_that_claims_to_be_packed_is_not_unpacked(watched: Watched, path: str) -> None:
    bomb = squeezed("gzip", "lists")[:MIB]
    reply = watched.client.post(path, content=bomb, headers={"Content-Encoding": "gzip"})
    assert reply.status_code in (400, 413, 422)
    watched.check()


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/v1/feedback", "values"),
        ("/api/feedback", "values"),
        ("/v1/logs", "values"),
        ("/v1/request/query", "262,144 bytes"),
    ],
)
def test_feedback_of_millions_of_values_is_refused_before_it_is_read(
    watched: Watched, path: str, told: str
) -> None:
    body = b'{"a": [' + b"[]," * 4_000_000 + b"[]]}"
    reply = watched.client.post(path, content=body)
    assert reply.status_code == 413
    assert told in reply.text
    watched.check()


def questions(request_id: str) -> list[Callable[[httpx.Client], httpx.Response]]:
    """Every way to read the body back, and to look for something in it."""
    search: dict[str, Any] = {"request_response_rmt": {"response_body": {"contains": "not there"}}}
    return [
        lambda client: client.get(f"/api/v1/requests/{request_id}"),
        lambda client: client.get(f"/v1/request/{request_id}?includeBody=true"),
        lambda client: client.get(f"/v1/logs/{request_id}"),
        lambda client: client.post("/v1/request/query", json={"filter": "all"}),
        lambda client: client.post("/v1/request/query", json={"filter": search}),
    ]


def export(client: httpx.Client) -> None:
    now = time.time()
    times = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + shift)) for shift in (-3600, 3600)]
    filters = dict(zip(("time_of_generation_min", "time_of_generation_max"), times, strict=True))
    job = {"filters": filters, "requested_data": ["id", "request", "response"]}
    path = f"/v1/logs/exports/{client.post('/v1/logs/exports', json=job).raise_for_status().json()['id']}"
    client.post(f"{path}/start").raise_for_status()
    eventually(lambda: client.get(path).json()["status"] == "success")
