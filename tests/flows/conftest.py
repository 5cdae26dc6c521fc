"""The processes that these tests share."""

from tests.factories import make_exchange
from tests.gateway_fixtures import authority, gateway, guarded, tls_upstream, upstream

__all__ = ["authority", "gateway", "guarded", "make_exchange", "tls_upstream", "upstream"]
