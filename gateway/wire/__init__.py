"""What the bytes of an LLM API mean: bytes in, plain data out, and no exception whatever the bytes are.

Here belong the formats themselves (one file each, registered in `reading.py`), what they are wrapped in
(`sse.py`, `content.py`) and what tokens cost (`prices.py`). I/O, HTTP frameworks and the store do not. Used
by the proxy (`endpoint_of`), by recording (`read_facts`, `PriceTable`) and by whoever shows or exports an
answer (`reassemble`).
"""

from __future__ import annotations

from gateway.wire.endpoints import endpoint_of
from gateway.wire.facts import read_conversation, read_facts, reassemble

__all__ = ["endpoint_of", "read_conversation", "read_facts", "reassemble"]
