"""A provider named by a request's model: `{"model": "@name/model", …}`, and the body without that prefix."""

from __future__ import annotations

import re
from collections.abc import Iterator

import orjson
from aiohttp import web

from gateway.domain.json_volume import holds_too_much
from gateway.proxy.body import WHOLE_BYTES

MARK = b'"@'
"""What a body holds whose model names a provider, and most others do not."""

MAX_BYTES = 4 * 1024 * 1024
"""Longest body that is looked into. JSON up to this size is read whole before the provider is called."""

_PREFIXED = re.compile(r"@([^/]+)/(?=.)", re.DOTALL)
_PREFIX_AS_SENT = re.compile(rb'"@[^/"]+?\\?/')
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]]', re.DOTALL)
_IS_KEY = re.compile(rb"\s*:\s*")


def is_worth_holding(request: web.BaseRequest) -> bool:
    """Tell by a request's head whether a long body may be looked into, were it there whole: it is JSON, not
    compressed, and of a known length up to `MAX_BYTES`."""
    length, fields = request.content_length, request.headers
    return (
        length is not None
        and WHOLE_BYTES < length <= MAX_BYTES
        and "json" in fields.get("Content-Type", "").lower()
        and "Content-Encoding" not in fields
    )


def provider_named(body: bytes) -> str | None:
    """Return the NAME of the model `@NAME/MODEL` that a JSON body asks for; None if it asks for none such."""
    # Most bodies have no such character at all, and one is found several times as fast as two.
    if b"@" not in body or MARK not in body or holds_too_much(body):
        return None
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    model = asked.get("model") if isinstance(asked, dict) else None
    found = _PREFIXED.match(model) if isinstance(model, str) else None
    return None if found is None else found[1]


def without_prefix(body: bytes) -> bytes:
    """Return the bytes of a JSON body whose model has such a prefix, without it and otherwise as they are."""
    # Of a key that is there twice the last counts, as with most parsers.
    at = max(_models_in(body), default=len(body))
    found = _PREFIX_AS_SENT.match(body, at)
    return body if found is None else body[: at + 1] + body[found.end() :]


def _models_in(body: bytes) -> Iterator[int]:
    """Where the values of the outermost object's `model` begin."""
    depth = 0
    for token in _TOKEN.finditer(body):
        opening = token[0][:1]
        if opening in b"{[":
            depth += 1
        elif opening in b"}]":
            depth -= 1
        elif depth == 1 and token[0] == b'"model"' and (colon := _IS_KEY.match(body, token.end())):
            yield colon.end()
