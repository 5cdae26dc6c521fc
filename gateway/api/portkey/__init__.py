"""Portkey's dialect: feedback and logs as its SDKs send them, and analytics as they read them.

Feedback is in `feedback.py`, its bodies and replies in `shapes.py`. `logs`, `exports`, `analytics` and `history`
(what is imported) have a folder each. Shared are what fields may hold (`fields.py`, `values.py`), the filters of
requests (`generations.py`) and what Portkey's names mean of one (`records.py`).
Called by the composition root alone.

Source: the paths /feedback, /logs and /analytics of https://github.com/Portkey-AI/openapi.
"""

from gateway.api.portkey.analytics import portkey_analytics_api
from gateway.api.portkey.exports import portkey_exporter
from gateway.api.portkey.feedback import DIALECT, portkey_feedback_api
from gateway.api.portkey.logs import portkey_logs_api

__all__ = ["DIALECT", "portkey_analytics_api", "portkey_exporter", "portkey_feedback_api", "portkey_logs_api"]
