"""Questions wait for what was journaled before them, whoever journaled it, and whatever is left of its state."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.recording.freshness import Freshness
from gateway.store.base import Store
from gateway.store.journal import encode_record
from gateway.store.journal_files import GatewayJournal, SegmentWriter

from .conftest import MIB, ingest_all
from .watched import chat


async def test_rows_of_a_gateway_that_began_a_moment_ago_are_waited_for(
    root: Path, journal: GatewayJournal
) -> None:
    freshness = Freshness(root, journal, 0.01)
    assert await freshness.wait() == 0
    other = GatewayJournal.create(root)
    SegmentWriter(other, 0, MIB).append([encode_record(chat())])
    assert await freshness.wait() > 0
    freshness.close()
    other.close()


@pytest.mark.parametrize("left", ["nothing", "nothing of its length", "zeros", "of an earlier start"])
async def test_rows_are_waited_for_though_a_power_failure_took_the_state_of_their_journal(
    store: Store, root: Path, journal: GatewayJournal, left: str
) -> None:
    dead = GatewayJournal.create(root)
    SegmentWriter(dead, 0, MIB).append([encode_record(chat("a"))])
    dead.close()
    state = dead.folder / "state"
    content = bytearray(state.read_bytes())
    # It says that the store has everything; its words count from one start of the machine.
    content[32:40], content[136:144] = bytes(8), content[128:136]
    if left == "nothing":
        state.unlink()
    else:
        lefts = {
            "nothing of its length": b"",
            "zeros": bytes(len(content)),
            "of an earlier start": bytes(content),
        }
        state.write_bytes(lefts[left])
    freshness = Freshness(root, journal, 0.01)
    assert await freshness.wait() > 0
    await ingest_all(store, root, journal)
    assert await freshness.wait() == 0
    assert not dead.folder.exists()
    freshness.close()
