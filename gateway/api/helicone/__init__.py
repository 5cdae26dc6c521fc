"""Helicone's dialect: feedback, scores and properties of requests, and the search for requests.

Paths are in `face.py`, their handlers in `feedback.py` and `requests.py`. What may be sent is in `bodies.py`,
rows in `rows.py`; `filters.py` and `sorting.py` translate searches, column by column as `columns.py` lists them
and operator by operator as `operators.py` does. Called by the composition root alone.

Source: docs/rest/request and packages/filters/filterDefs.ts of https://github.com/Helicone/helicone.
"""

from gateway.api.helicone.face import helicone_face

__all__ = ["helicone_face"]
