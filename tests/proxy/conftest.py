"""The processes that these tests share."""

from tests.houses import authority, gateway, guarded, tls_upstream, upstream

__all__ = ["authority", "gateway", "guarded", "tls_upstream", "upstream"]
