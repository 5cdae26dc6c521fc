"""Providers behind TLS: trusted, not trusted, and not what they seem."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import trustme

from tests.gateway_process import RunningGateway
from tests.log_reader import row
from tests.raw_http import call, request
from tests.scripted_upstream import UpstreamProcess, answer


@pytest.fixture(scope="module")
def beyond_tls(
    tls_upstream: UpstreamProcess,
    upstream: UpstreamProcess,
    authority: trustme.CA,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("beyond-tls")
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    port = tls_upstream.port
    trusting = {"ca_file": str(folder / "authority.pem")}
    config = {
        "providers": {
            "trusted": {"base_url": f"https://127.0.0.1:{port}/v1", **trusting},
            "untrusted": {"base_url": f"https://127.0.0.1:{port}/v1"},
            "misnamed": {"base_url": f"https://localhost:{port}/v1", **trusting},
            "not-tls": {
                "base_url": f"https://127.0.0.1:{upstream.port}/v1",
                **trusting,
                "timeouts": {"connect": 0.3},
            },
            "not-plain": {"base_url": f"http://127.0.0.1:{port}/v1"},
        },
        "default_provider": "trusted",
    }
    with RunningGateway(folder, config) as running:
        yield running


def test_a_provider_whose_authority_is_configured_is_called(
    beyond_tls: RunningGateway, tls_upstream: UpstreamProcess
) -> None:
    script = tls_upstream.script(*answer(b"secret hello"))
    assert call(beyond_tls.port, request(b"GET", b"/v1/models", script)).body == b"secret hello"
    [received] = tls_upstream.take()
    assert received.values(b"host") == [b"127.0.0.1:%d" % tls_upstream.port]


@pytest.mark.parametrize(
    ("provider", "status", "outcome", "reason"),
    [
        ("untrusted", 502, "upstream_error", "certificate verify failed"),
        ("misnamed", 502, "upstream_error", "certificate verify failed"),
        ("not-tls", 504, "timeout", "TLS handshake"),
        ("not-plain", 502, "upstream_error", ""),
    ],
)
def test_a_provider_that_cannot_be_trusted_or_understood_is_not_sent_anything(
    beyond_tls: RunningGateway,
    tls_upstream: UpstreamProcess,
    upstream: UpstreamProcess,
    provider: str,
    status: int,
    outcome: str,
    reason: str,
) -> None:
    for process in (tls_upstream, upstream):
        process.take()
    trace = f"x-portkey-trace-id: tls-{provider}".encode()
    got = call(beyond_tls.port, request(b"POST", f"/{provider}/chat/completions".encode(), trace, body=b"{}"))
    assert got.status == status
    assert reason in json.loads(got.body)["error"]["message"]
    assert tls_upstream.take() == upstream.take() == []
    assert row(beyond_tls.database, f"tls-{provider}")["outcome"] == outcome
