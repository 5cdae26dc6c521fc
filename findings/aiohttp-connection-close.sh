#!/usr/bin/env bash
# How a handler of aiohttp's server ends a connection: by a header `Connection: close`, or by `force_close()`.
#
# Versions: aiohttp==3.14.5; CPython 3.11.7 on Linux
# Guessed: both do the same: the answer says `Connection: close`, and the server closes the connection after it
# Seen: with the header alone the answer says so, but the connection stays open and answers the next request, as does one
#   whose protocol was to be given up by it; `force_close()` writes the header and closes
# Output:
#   header         says close: True   closed: False
#   force_close()  says close: True   closed: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'aiohttp==3.14.5'
venv/bin/python - <<'PY'
import asyncio
from aiohttp import web

async def answer(request):
    way = request.path.strip("/")
    response = web.Response(text="x", headers={"Connection": "close"} if way == "header" else None)
    if way == "force_close()":
        response.force_close()
    return response

async def outcome(port, way):
    """Whether an answer says that the connection ends, and whether no second one comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = f"GET /{way} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    await reader.readexactly(1)
    try:
        writer.write(request)
        is_closed = not await asyncio.wait_for(reader.read(1), 5)
    except ConnectionError:
        is_closed = True
    writer.close()
    return b"\r\nconnection: close\r\n" in head, is_closed

async def main():
    app = web.Application()
    app.router.add_get("/{way}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    seen = {way: await outcome(port, way) for way in ("header", "force_close()")}
    await runner.cleanup()
    return seen

seen = asyncio.run(main())
for way, (says, is_closed) in seen.items():
    print(f"{way:<14} says close: {str(says):<6} closed: {is_closed}")
assert list(seen.values()) == [(True, False), (True, True)]
PY
