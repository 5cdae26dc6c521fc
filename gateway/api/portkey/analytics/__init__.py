"""Portkey's analytics: graphs, groups and a summary of what requests took and what was said of them.

`face.py` has the paths, `asking.py` reads what is asked for. The graphs are in `usage.py`, `failures.py`,
`cache.py` and `feedback.py`, each with its shapes and a table of its views; groups are in `groups.py`.
"""

from gateway.api.portkey.analytics.face import portkey_analytics_face

__all__ = ["portkey_analytics_face"]
