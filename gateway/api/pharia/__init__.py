"""PhariaAssistant's dialect: feedback of an application's own shape, with a way to list and to delete it.

Paths and handlers are in `feedback.py`, bodies in `bodies.py`, entries as they are shown in `entries.py`, what
may be searched for in `searching.py`, errors in `errors.py`. Called by `gateway.app` alone.
"""

from gateway.api.pharia.feedback import pharia_api

__all__ = ["pharia_api"]
