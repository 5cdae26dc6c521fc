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
_LONGEST_REMEMBERED = 16 * 1024
"""Statements of our own are shorter; those with lists of a caller's values may be long, and no two alike."""


def with_driver_marks(sql: str) -> bytes:
    """Return a statement as the driver wants it. What is in quotes is no mark."""
    return _remembered(sql) if len(sql) <= _LONGEST_REMEMBERED else _translated(sql)


@lru_cache(maxsize=_REMEMBERED)
def _remembered(sql: str) -> bytes:
    return _translated(sql)


def _translated(sql: str) -> bytes:
    return _TOKENS.sub(_spelled, sql).encode()


def _spelled(token: re.Match[str]) -> str:
    if token["mark"]:
        return "%s"
    if token["name"]:
        return f"%({token['name']})s"
    return token[0].replace("%", "%%")
