"""Ids made by the gateway, and checks of callers' ids."""

import hashlib
import os
import re
import time
from collections import deque
from uuid import UUID

# Longest trace, request or span id taken from a caller, in UTF-8 bytes.
MAX_ID_BYTES = 512

_VERSION_MASK = ~(0xF << 76 | 0x3 << 62)
_VERSION_7 = 0x7 << 76 | 0x2 << 62
_RANDOM_BYTES = 10
# Random bytes are read for so many ids at a time: each time costs a call into the kernel.
_POOL_IDS = 64

_random_pool: deque[bytes] = deque()
os.register_at_fork(after_in_child=_random_pool.clear)

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")


def new_id() -> str:
    """Return a UUIDv7, which sorts by time (RFC 9562, section 5.7)."""
    value = (time.time_ns() // 1_000_000 << 80) | int.from_bytes(_random_bytes(), "big")
    value = value & _VERSION_MASK | _VERSION_7
    text = value.to_bytes(16, "big").hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _random_bytes() -> bytes:
    # Taking one from a deque is atomic, so no two threads get the same.
    try:
        return _random_pool.pop()
    except IndexError:
        random = os.urandom(_POOL_IDS * _RANDOM_BYTES)
        starts = range(_RANDOM_BYTES, len(random), _RANDOM_BYTES)
        _random_pool.extend(random[start : start + _RANDOM_BYTES] for start in starts)
        return random[:_RANDOM_BYTES]


def content_id(content: bytes) -> str:
    """Return a UUIDv8 of the SHA-256 of `content` (RFC 9562, section 5.8)."""
    value = int.from_bytes(hashlib.sha256(content).digest()[:16], "big")
    return str(UUID(int=value & _VERSION_MASK | 0x8 << 76 | 0x2 << 62))


def is_valid_id(text: str) -> bool:
    return 0 < len(text) <= MAX_ID_BYTES and text.isprintable() and len(text.encode()) <= MAX_ID_BYTES


def is_unfilled_template(text: str) -> bool:
    # Such as `{{run}}`, which would be the same for all.
    return "{{" in text and "}}" in text


def is_session_id(text: str) -> bool:
    return is_valid_id(text) and not is_unfilled_template(text)


def parse_traceparent(header: str) -> tuple[str, str] | None:
    """Return (trace id, parent span id), None if invalid (W3C Trace Context, section 3.2)."""
    match = _TRACEPARENT.fullmatch(header.strip())
    if match is None or header.startswith("ff") or not match[1].strip("0") or not match[2].strip("0"):
        return None
    return match[1], match[2]
