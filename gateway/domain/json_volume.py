"""How many values a JSON text holds, told before it is read, so that none can fill the memory.

A byte of JSON can take forty in memory: `[],[],…` is a list for every three of them. Compressed, a few kilobytes
say that for as long as is read.
"""

from __future__ import annotations

MAX_VALUES = 1_500_000
"""Most values that a text may hold. 16 MiB of embeddings, all that is kept by default, have 1.4 million."""

_SLICE_BYTES = 1024 * 1024
_MARKS = (b",", b"[", b"{")
"""There is one of them for each value, but the outermost."""


def holds_too_much(text: bytes) -> bool:
    """Tell whether a JSON text may hold more values than are read. Punctuation inside of strings counts as well."""
    if len(text) <= MAX_VALUES:
        return False
    count = 0
    for start in range(0, len(text), _SLICE_BYTES):
        part = text[start : start + _SLICE_BYTES]
        count += sum(map(part.count, _MARKS))
        if count > MAX_VALUES:
            return True
    return False
