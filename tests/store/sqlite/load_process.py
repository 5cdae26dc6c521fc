"""A process that stores without pause and says what was acknowledged, until it is done or killed.

Usage: python -m tests.store.sqlite.load_process DATABASE NAME ROWS
"""

from __future__ import annotations

import asyncio
import os
import sys

from gateway.models.request import Facts
from gateway.store import open_store
from gateway.store.base import Store
from tests.store.samples import exchange, feedback

TASKS = 8


async def main(path: str, name: str, rows: int) -> None:
    store = await open_store(f"sqlite:///{path}")
    await asyncio.gather(*(_load(store, f"{name}-{task}", rows // TASKS) for task in range(TASKS)))
    await store.close()


async def _load(store: Store, name: str, rows: int) -> None:
    for number in range(rows):
        request_id = f"{name}-{number}"
        body = os.urandom(number % 5000)
        [seq] = await store.append([exchange(request_id, request_body=body, request_size=len(body))])
        _say("row", request_id)
        if number % 3 == 0:
            await store.put_feedback([feedback(f"vote-{request_id}", request_id)])
            _say("vote", f"vote-{request_id}")
        if number % 4 == 0:
            await store.annotate([(seq, Facts(model="m"))], at_us=1)


def _say(kind: str, what: str) -> None:
    os.write(sys.stdout.fileno(), f"{kind} {what}\n".encode())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
