"""The processes that these tests share, and a browser."""

from tests.browsing import browser
from tests.houses import authority, gateway, guarded, tls_upstream, upstream

__all__ = ["authority", "browser", "gateway", "guarded", "tls_upstream", "upstream"]
