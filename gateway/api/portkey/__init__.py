"""Portkey's dialect: feedback and logs as its SDKs send them, and analytics as they read them.

Feedback: paths and handlers are in `feedback.py`, bodies and replies in `shapes.py`, what each field may hold in
`fields.py`. Logs: paths are in `logs_face.py`, handlers in `logs.py` and `exports.py`. What callers tell of is in
`custom_logs.py` and `log_fields.py`; what they are shown in `log_schema.py` and `log_object.py`, for exports in
`export_shapes.py` and `export_rows.py`. `analytics` has a folder. `generations.py` translates filters for all. Called
by the composition root alone.

Source: the paths /feedback, /logs and /analytics of https://github.com/Portkey-AI/openapi.
"""

from gateway.api.portkey.analytics import portkey_analytics_face
from gateway.api.portkey.export_rows import portkey_exporter
from gateway.api.portkey.feedback import DIALECT, portkey_face
from gateway.api.portkey.logs_face import portkey_logs_face

__all__ = ["DIALECT", "portkey_analytics_face", "portkey_exporter", "portkey_face", "portkey_logs_face"]
