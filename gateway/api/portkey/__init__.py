"""Portkey's dialect: feedback as its SDKs send it.

Paths and handlers are in `feedback.py`, bodies and replies in `shapes.py`, what each field may hold in
`fields.py`. Called by `gateway.urls` alone.

Source: the paths /feedback and /feedback/{id} of https://github.com/Portkey-AI/openapi.
"""

from gateway.api.portkey.analytics import portkey_analytics_face
from gateway.api.portkey.feedback import portkey_face

__all__ = ["portkey_analytics_face", "portkey_face"]
