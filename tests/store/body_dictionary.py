"""What bodies have in common whoever sends them; `python -m tests.store.body_dictionary FILE` trains a dictionary.

Of the recorded bodies of all wire formats and some of the demo data, never of anybody's traffic. The one that is in
use (`gateway/store/body_dictionary.bin`) stays as it is, however these change: stored bodies need it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import zstandard

from gateway.demo.exchanges import to_exchange
from gateway.demo.traffic import plan_traffic
from gateway.models.exchange import Exchange
from tests.wire.samples import ALL

SIZE_BYTES = 16 * 1024
DICTIONARY_ID = 40_001
"""Above 32,767, below which ids are registered (RFC 8878, section 5), and of two bytes."""

_DEMO_ENDS_AT_US = 1_800_000_000_000_000
_DEMO_REQUESTS = 100


def train() -> zstandard.ZstdCompressionDict:
    """A dictionary for both sides of exchanges."""
    recorded = [case.exchange() for case in ALL]
    planned = [to_exchange(call) for call in plan_traffic(_DEMO_ENDS_AT_US, _DEMO_REQUESTS)]
    samples: list[bytes | bytearray | memoryview] = [
        body for each in (*recorded, *planned) for body in _bodies(each)
    ]
    return zstandard.train_dictionary(SIZE_BYTES, samples, dict_id=DICTIONARY_ID, level=1)


def _bodies(exchange: Exchange) -> list[bytes]:
    return [body for body in (exchange.request_body, exchange.response_body) if body]


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(train().as_bytes())
