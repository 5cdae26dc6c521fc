"""The processes that these tests share, and a browser."""

from tests.browser import browser, shared_browser
from tests.gateway_fixtures import authority, gateway, guarded, tls_upstream, upstream

__all__ = ["authority", "browser", "gateway", "guarded", "shared_browser", "tls_upstream", "upstream"]
