"""Ids made by the gateway, checks of callers' ids, and ids in paths of URLs."""

import hashlib
import os
import re
import time
from collections import deque
from functools import lru_cache
from urllib.parse import quote
from uuid import UUID

# Longest trace, request or span id taken from a caller, in UTF-8 bytes.
MAX_ID_BYTES = 512

_VERSION_MASK = ~(0xF << 76 | 0x3 << 62)
_RANDOM_BYTES = 10
# Random bytes are read for so many ids at a time: each time costs a call into the kernel.
_POOL_IDS = 64

# What follows the time in an id.
_random_ends: deque[str] = deque()
os.register_at_fork(after_in_child=_random_ends.clear)

# Browsers and HTTP clients take these names out of a path, however they are written.
_DOTS = re.compile(r"~*\.{1,2}")

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")


def new_id() -> str:
    """Return a UUIDv7, which sorts by time (RFC 9562, section 5.7)."""
    # Taking one from a deque is atomic, so no two threads get the same.
    try:
        end = _random_ends.pop()
    except IndexError:
        random = os.urandom(_POOL_IDS * _RANDOM_BYTES)
        starts = range(_RANDOM_BYTES, len(random), _RANDOM_BYTES)
        _random_ends.extend(_random_end(random[start : start + _RANDOM_BYTES]) for start in starts)
        end = _random_end(random[:_RANDOM_BYTES])
    return _time_digits(time.time_ns() // 1_000_000) + end


# A busy gateway makes several ids in a millisecond.
@lru_cache(maxsize=1)
def _time_digits(at_ms: int) -> str:
    digits = f"{at_ms:012x}"
    return f"{digits[:8]}-{digits[8:]}"


def _random_end(random: bytes) -> str:
    # With the version's digit, and the variant's two bits at the head of the next group.
    digits = random.hex()
    return f"-7{digits[1:4]}-{'89ab'[random[2] >> 6]}{digits[5:8]}-{digits[8:]}"


def content_id(content: bytes) -> str:
    """Return a UUIDv8 of the SHA-256 of `content` (RFC 9562, section 5.8)."""
    value = int.from_bytes(hashlib.sha256(content).digest()[:16], "big")
    return str(UUID(int=value & _VERSION_MASK | 0x8 << 76 | 0x2 << 62))


def is_valid_id(text: str) -> bool:
    if not (0 < len(text) <= MAX_ID_BYTES and text.isprintable()):
        return False
    return text.isascii() or len(text.encode()) <= MAX_ID_BYTES


def path_segment(name: str) -> str:
    """Write an id or a name as a segment of a path: `..` as `~..`, and a name written so as `~~..`."""
    return quote(f"~{name}" if _DOTS.fullmatch(name) else name, safe="")


def name_in_path(segment: str) -> str:
    """Undo `path_segment` for a decoded segment."""
    return segment[1:] if segment.startswith("~") and _DOTS.fullmatch(segment) else segment


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
