"""The processes that these tests share."""

from tests.houses import authority, gateway, guarded, tls_upstream, upstream
from tests.making import make_exchange

__all__ = ["authority", "gateway", "guarded", "make_exchange", "tls_upstream", "upstream"]
