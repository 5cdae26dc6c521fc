"""Which hosts are this machine's alone."""

from __future__ import annotations

import pytest

from gateway.models.addresses import is_loopback


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LocalHost", "::ffff:127.0.0.1"]
)
def test_loopback_addresses_are_told_apart(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "10.0.0.1", "example.com", "localhost.example.com", "::ffff:10.0.0.1"]
)
def test_other_addresses_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)
