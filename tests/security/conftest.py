"""The processes that these tests share."""

from tests.gateway_fixtures import authority, gateway, guarded, tls_upstream, upstream

__all__ = ["authority", "gateway", "guarded", "tls_upstream", "upstream"]
