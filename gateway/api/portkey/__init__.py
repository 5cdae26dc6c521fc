"""Portkey's dialect: feedback as its SDKs send it, and analytics as they read them.

Paths and handlers of feedback are in `feedback.py`, bodies and replies in `shapes.py`, what each field may hold in
`fields.py`. `analytics` has a folder, and `generations.py` the filters of requests. Called by `gateway.app` alone.

Source: the paths /feedback, /feedback/{id} and /analytics of https://github.com/Portkey-AI/openapi.
"""

from gateway.api.portkey.analytics import portkey_analytics_face
from gateway.api.portkey.feedback import portkey_face

__all__ = ["portkey_analytics_face", "portkey_face"]
