"""From the marks that statements bear, `?` and `:name`, to those of the driver, `%s` and `%(name)s`."""

from __future__ import annotations

import re
from functools import lru_cache

_TOKENS = re.compile(
    r"""
    (?P<quoted> '[^']*' | "[^"]*" )
    | (?P<cast> :: )
    | (?P<mark> \? )
    | : (?P<name> [a-z_]+ )
    | (?P<percent> % )
    """,
    re.VERBOSE,
)

_REMEMBERED = 1024


@lru_cache(maxsize=_REMEMBERED)
def with_driver_marks(sql: str) -> bytes:
    """Return a statement as the driver wants it. What is in quotes is no mark."""
    return _TOKENS.sub(_translated, sql).encode()


def _translated(token: re.Match[str]) -> str:
    if token["mark"]:
        return "%s"
    if token["name"]:
        return f"%({token['name']})s"
    return token[0].replace("%", "%%")
