#!/usr/bin/env bash
# How long aiohttp's server takes to stop while a handler is at work, with a `shutdown_timeout` of one second.
#
# Versions: aiohttp==3.14.5; CPython 3.11.7 on Linux
# Guessed: a second at most; then the handler is cancelled
# Seen: so it is only with a handler that waits for the rest of its request. Any other, one that waits for something else or that
#   writes a stream, is cancelled after the time has passed a second time: a process manager has to wait for longer than
#   twice the timeout before it kills
# Output:
#   reads its request         cancelled after 1 s
#   waits for something else  cancelled after 2 s
#   writes a stream           cancelled after 2 s
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'aiohttp==3.14.5'
venv/bin/python - <<'PY'
import asyncio, time
from aiohttp import web

async def reads(request):
    await request.read()

async def waits(request):
    await asyncio.Event().wait()

async def writes(request):
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"x")
        await asyncio.sleep(0.05)

async def outcome(work):
    """How many seconds after the stop a handler is cancelled."""
    began, ended = asyncio.Event(), []

    async def handler(request):
        began.set()
        try:
            await work(request)
        except asyncio.CancelledError:
            ended.append(time.monotonic())
            raise

    app = web.Application()
    app.router.add_post("/", handler)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    _, writer = await asyncio.open_connection("127.0.0.1", runner.addresses[0][1])
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nx")
    await began.wait()
    stopped = time.monotonic()
    await runner.cleanup()
    writer.close()
    return round(ended[0] - stopped)

works = {"reads its request": reads, "waits for something else": waits, "writes a stream": writes}
seen = [asyncio.run(outcome(work)) for work in works.values()]
for name, seconds in zip(works, seen):
    print(f"{name:<25} cancelled after {seconds} s")
assert seen == [1, 2, 2]
PY
