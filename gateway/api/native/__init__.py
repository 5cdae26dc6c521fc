"""The gateway's own API: read the log and its figures, erase people; and the documentation of all faces.

Handlers translate between HTTP and `gateway.query`, shapes say what replies look like. Rules about what is
found and who sees it are not here. Used by the composition root.
"""

from gateway.api.native.routes import documentation_api, native_api
from gateway.web.openapi import build_openapi

__all__ = ["build_openapi", "documentation_api", "native_api"]
