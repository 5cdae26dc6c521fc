"""WebSocket sessions through the gateway at once, some of them slow or gone: memory, files and rows after them.

python -m benchmarks.websocket_sessions --sessions 1000
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect

from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, query
from tests.websocket_provider import WebSocketProvider

MIB = 1024 * 1024


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


async def talk(session: ClientConnection) -> None:
    for _ in range(3):
        await session.send(json.dumps({"type": "response.create", "model": "gpt-5", "input": "Ada"}))
        while json.loads(await session.recv())["type"] != "response.completed":
            pass


async def measure(gateway: RunningGateway, count: int) -> dict[str, float]:
    before, files = resident_mib(gateway.pid), open_files(gateway.pid)
    url = f"ws://127.0.0.1:{gateway.port}/v1/responses"
    limit = asyncio.Semaphore(50)

    async def begin() -> ClientConnection:
        async with limit:
            return await connect(
                url, ping_interval=None, close_timeout=1, max_queue=1, max_size=None, compression=None
            )

    sessions = await asyncio.gather(*(begin() for _ in range(count)))
    opened = resident_mib(gateway.pid)
    slow, gone, others = sessions[: count // 10], sessions[count // 10 : count // 5], sessions[count // 5 :]
    for session in slow:
        # 64 MiB each, of which nothing is read.
        await session.send(json.dumps({"type": "flood", "pieces": 1024}))
    await asyncio.gather(*map(talk, others))
    at_work = resident_mib(gateway.pid)
    for session in gone:
        session.transport.abort()
    await asyncio.gather(*(session.close() for session in others))
    # The slow ones end by `timeouts.idle`.
    await asyncio.to_thread(eventually, lambda: open_files(gateway.pid) <= files + 2)
    for session in slow:
        session.transport.abort()
    rows = await asyncio.to_thread(
        query, gateway.database, "SELECT endpoint, count(*) FROM requests GROUP BY endpoint"
    )
    return {
        "MiB before": before, "MiB with all open": opened, "MiB at work": at_work,
        "MiB after": resident_mib(gateway.pid), "files before": files, "files after": open_files(gateway.pid),
        **{f"rows of {endpoint}": number for endpoint, number in rows},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=1000)
    count = parser.parse_args().sessions
    with tempfile.TemporaryDirectory() as folder, WebSocketProvider() as provider:
        upstream = {"base_url": provider.base_url, "websocket": True, "timeouts": {"idle": 10}}
        config = {"providers": {"up": {**upstream, "max_connections": 5000}}}
        with RunningGateway(Path(folder), config) as gateway:
            for name, value in asyncio.run(measure(gateway, count)).items():
                print(f"{name}: {value:g}")


if __name__ == "__main__":
    main()
