"""Query strings: each parameter once, with a value, and none that is not known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateway.errors import BadInput


def refuse_unknown(names: Iterable[str], known: Iterable[str]) -> None:
    """Raise BadInput for a query parameter that is not among `known`."""
    allowed = tuple(known)
    for name in names:
        if name not in allowed:
            hint = f"Allowed: {', '.join(allowed)}." if allowed else "None is taken here."
            raise BadInput("is not a query parameter here.", field=name, hint=hint)


def once_each(query: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """Return a query string's pairs by name. Raises BadInput for a name that comes twice or has no value."""
    given: dict[str, str] = {}
    for name, text in query:
        if name in given:
            raise BadInput("is given twice; give it once.", field=name)
        if not text:
            raise BadInput("has no value; leave it out or give it one.", field=name)
        given[name] = text
    return given
