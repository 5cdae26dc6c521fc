"""A process that gives the same feedback as its rivals, at the same moment, and says what came of it.

Usage: python -m tests.feedback.rival DATABASE CALLS
It says `ready`, waits for a line on standard input, and then writes a JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys

from gateway.feedback import rules
from gateway.feedback.service import FeedbackService
from gateway.models.principal import OPEN_ACCESS
from gateway.store import open_store
from tests.feedback.samples import APP, change, vote
from tests.feedback.test_upserts import vote as upserted_vote


async def main(path: str, calls: int) -> None:
    store = await open_store(f"sqlite:///{path}")
    core = FeedbackService(store)
    _say("ready")
    await asyncio.to_thread(sys.stdin.readline)
    given, upsert, revised = [], [], []
    for number in range(calls):
        retried = vote(f"trace-{number}")
        [entry] = await core.give([retried], APP, dialect="test", idempotency_key=f"key-{number}")
        given.append(entry.feedback_id)
        [entry] = await core.give(
            [upserted_vote("request-1")], OPEN_ACCESS, dialect="test", rule=rules.upsert
        )
        upsert.append(entry.version)
        entry = await core.revise(given[0], change(weight=0.5), APP, "test")
        revised.append(entry.version)
    await store.close()
    _say(json.dumps({"given": given, "cast": upsert, "revised": revised}))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
