#!/usr/bin/env bash
# Views of an SQLite file with a function of SQLite's own, read through DuckDB's extension `sqlite`.
#
# Versions: duckdb==1.5.5, duckdb-extension-sqlite-scanner==1.5.5; CPython 3.11.7 with SQLite 3.40.1 on Linux
# Guessed: a view with a function that DuckDB lacks is either refused, or run by SQLite as it is written, with `count(*)`
#   and with the declared types of its columns
# Seen: SQLite runs it, but every column is VARCHAR, declared numbers too, and the SQL that SQLite gets is DuckDB's own
#   rendering: `count(*)` became `count_star()`, which SQLite does not know. One such view in the file makes SHOW TABLES
#   fail for all of it. `count(column)` is read
# Output:
#   no function of SQLite's: [('n', 'BIGINT')]
#   with strftime: [('day', 'VARCHAR'), ('n', 'VARCHAR')]
#   with strftime and count(n): [('day', 'VARCHAR'), ('n', 'VARCHAR')]
#   with strftime and count(*): no such function: count_star
#   SHOW TABLES: no such function: count_star
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'duckdb==1.5.5' 'duckdb-extension-sqlite-scanner==1.5.5'
cat >try.py <<'PY'
import re
import sqlite3
from pathlib import Path
import duckdb

DAY = "strftime('%Y-%m-%d', seen_at, 'unixepoch') AS day"
with sqlite3.connect("visits.db") as file:
    file.executescript(f"""
        CREATE TABLE visits (seen_at INTEGER, n INTEGER);
        INSERT INTO visits VALUES (1700000000, 3), (1700000001, 4);
        CREATE VIEW plain AS SELECT n FROM visits;
        CREATE VIEW dated AS SELECT {DAY}, n FROM visits;
        CREATE VIEW counted AS SELECT {DAY}, count(n) AS n FROM visits GROUP BY 1;
        CREATE VIEW all_counted AS SELECT {DAY}, count(*) AS n FROM visits GROUP BY 1;
    """)

extension = next(Path("venv").rglob("sqlite_scanner.duckdb_extension"))
duck = duckdb.connect(config={"allow_unsigned_extensions": "true"})
duck.execute(f"LOAD '{extension}'")
duck.execute("ATTACH 'visits.db' AS file (TYPE sqlite, READ_ONLY)")

def show(label, sql):
    try:
        print(f"{label}:", [row[:2] for row in duck.execute(sql).fetchall()])
    except duckdb.Error as error:
        print(f"{label}:", re.search("no such function: \\w+", str(error))[0])

show("no function of SQLite's", "DESCRIBE SELECT * FROM file.plain")
show("with strftime", "DESCRIBE SELECT * FROM file.dated")
show("with strftime and count(n)", "DESCRIBE SELECT * FROM file.counted")
show("with strftime and count(*)", "DESCRIBE SELECT * FROM file.all_counted")
show("SHOW TABLES", "SHOW TABLES FROM file")
PY
venv/bin/python try.py >seen
cat seen
diff seen - <<'EXPECTED'
no function of SQLite's: [('n', 'BIGINT')]
with strftime: [('day', 'VARCHAR'), ('n', 'VARCHAR')]
with strftime and count(n): [('day', 'VARCHAR'), ('n', 'VARCHAR')]
with strftime and count(*): no such function: count_star
SHOW TABLES: no such function: count_star
EXPECTED
