"""From ids of any form to OpenTelemetry's, the same each time: 16 bytes for a trace, 8 for a span."""

from __future__ import annotations

import hashlib
import re

_HEX_128 = re.compile(r"[0-9a-f]{32}")
_HEX_64 = re.compile(r"[0-9a-f]{16}")


def trace_number(trace_id: str) -> int:
    """Return a trace's number: what the id spells in 32 hex digits, as in a `traceparent` or a UUID; else one made
    of its SHA-256."""
    plain = trace_id.lower().replace("-", "")
    return _number(plain if _HEX_128.fullmatch(plain) else _hashed(trace_id, 16))


def span_number(trace: int, span_id: str) -> int:
    """Return a span's number: what the id spells in 16 hex digits; else one made of the SHA-256 of its trace's
    number and itself, since names such as `plan` come again in other traces, and receivers tell spans apart by
    their numbers alone."""
    plain = span_id.lower()
    return _number(plain if _HEX_64.fullmatch(plain) else _hashed(f"{trace:032x}/{span_id}", 8))


def _hashed(text: str, length: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[: 2 * length]


def _number(digits: str) -> int:
    # Zero is no valid id.
    return int(digits, 16) or 1
