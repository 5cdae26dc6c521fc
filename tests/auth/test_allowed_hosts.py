"""Under which names an open gateway may be called, and whose pages may call it."""

from __future__ import annotations

import pytest

from gateway.auth.allowed_hosts import MAX_NAME_BYTES, AllowedHosts

HOSTS = AllowedHosts(["gateway.test", "Other.Test"])


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "localhost:8787", "LOCALHOST", "localhost.", "app.localhost:1", "127.0.0.1", "127.0.0.1:8787",
        "[::1]", "[::1]:8787", "192.168.1.7:80", "gateway.test", "gateway.test:8787", "GATEWAY.test.", "other.test",
    ],
)  # fmt: skip
def test_localhost_addresses_and_names_that_are_configured_are_trusted(host: str) -> None:
    assert HOSTS.allows_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "evil.test", "evil.test:8787", "localhost.evil.test", "notlocalhost", "127.0.0.1.evil.test",
        "gateway.test.evil",
        "localhost@evil.test", "evil.test/localhost", "evil.test#localhost", "", " ", "[::1", "127.0.0.1x",
        "a" * MAX_NAME_BYTES + ".localhost",
    ],
)  # fmt: skip
def test_any_other_name_is_not(host: str) -> None:
    assert not HOSTS.allows_host(host)


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost:3000", "https://localhost", "http://127.0.0.1:5173", "http://[::1]:80", "http://gateway.test",
        "app://obsidian.md", "file://", "tauri://localhost", "vscode-webview://1a2b",
    ],
)  # fmt: skip
def test_pages_of_this_machine_and_of_named_hosts_may_call(origin: str) -> None:
    assert HOSTS.allows_origin(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "null", "https://evil.test", "http://192.168.1.7", "https://localhost.evil.test", "",
        "https://app.evil.test",
        "http://evil.test/?localhost", "https://localhost:80@evil.test", "chrome-extension://abcdef",
    ],
)  # fmt: skip
def test_pages_of_elsewhere_may_not(origin: str) -> None:
    assert not HOSTS.allows_origin(origin)


def test_judging_what_strangers_send_takes_no_more_memory_in_the_end() -> None:
    for number in range(5000):
        HOSTS.allows_host(f"host-{number}.test")
    assert HOSTS.allows_host.cache_info().currsize <= 256
