#!/usr/bin/env bash
# What becomes of a statement in aiosqlite whose await is cancelled, and which statement `interrupt()` ends.
#
# Versions: aiosqlite==0.22.1; CPython 3.11.7 with SQLite 3.40.1 on Linux
# Guessed: `asyncio.wait_for` ends the statement with the await, as psycopg's AsyncConnection does; `interrupt()` ends what was
#   asked of the connection before it
# Seen: the statement goes on to its end and holds up the next one on the connection; `interrupt()` ends the one that runs and
#   none that waits behind it, nor one that was asked for in the same turn of the event loop
# Output:
#   the next statement waits for the cancelled one: True
#   running: interrupted; behind it: its result
#   asked for just before: its result
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'aiosqlite==0.22.1'
cat >try.py <<'PY'
import asyncio, sqlite3, time
import aiosqlite

COUNT = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) SELECT max(i) FROM n"

def said(result):
    return "interrupted" if isinstance(result, sqlite3.OperationalError) else "its result"

async def main():
    async with aiosqlite.connect(":memory:") as connection:
        began = time.monotonic()
        await connection.execute_fetchall(COUNT)
        whole = time.monotonic() - began

        began = time.monotonic()
        try:
            await asyncio.wait_for(connection.execute_fetchall(COUNT), whole / 20)
        except TimeoutError:
            pass
        await connection.execute_fetchall("SELECT 1")
        print("the next statement waits for the cancelled one:", time.monotonic() - began > whole / 3)

        asked = [asyncio.ensure_future(connection.execute_fetchall(COUNT)) for _ in range(2)]
        await asyncio.sleep(whole / 20)
        await connection.interrupt()
        first, second = await asyncio.gather(*asked, return_exceptions=True)
        print(f"running: {said(first)}; behind it: {said(second)}")

        asked = [asyncio.ensure_future(connection.execute_fetchall(COUNT))]
        await connection.interrupt()
        print("asked for just before:", said((await asyncio.gather(*asked, return_exceptions=True))[0]))

asyncio.run(main())
PY
venv/bin/python try.py >seen
cat seen
diff seen - <<'EXPECTED'
the next statement waits for the cancelled one: True
running: interrupted; behind it: its result
asked for just before: its result
EXPECTED
