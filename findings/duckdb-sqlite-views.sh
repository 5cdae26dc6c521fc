#!/usr/bin/env bash
# Views of an SQLite file, read through DuckDB's extension `sqlite`.
#
# Versions: duckdb==1.5.5, duckdb-extension-sqlite-scanner==1.5.5; CPython 3.11.7 with SQLite 3.40.1 on Linux
# Guessed: SQLite runs a view of its own, so DuckDB reads each view that SQLite takes
# Seen: DuckDB parses the view's text by its own grammar: one that compares two columns by `IS` cannot be read, though its
#   tables can; `sqlite_query`, which leaves the SQL to SQLite, reads it. The attached file lists it as a view all the same
# Output:
#   table [('ann', None), ('bob', 'x')]
#   view with = [('bob',)]
#   view with IS: ParserException
#   sqlite_query [('ann',), ('bob',)]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'duckdb==1.5.5' 'duckdb-extension-sqlite-scanner==1.5.5'
cat >try.py <<'PY'
import sqlite3
from pathlib import Path
import duckdb

with sqlite3.connect("people.db") as file:
    file.executescript("""
        CREATE TABLE people (name TEXT, tenant TEXT);
        CREATE TABLE tenants (tenant TEXT);
        INSERT INTO people VALUES ('ann', NULL), ('bob', 'x');
        INSERT INTO tenants VALUES (NULL), ('x');
        CREATE VIEW equal AS SELECT name FROM people JOIN tenants ON people.tenant = tenants.tenant ORDER BY name;
        CREATE VIEW same AS SELECT name FROM people JOIN tenants ON people.tenant IS tenants.tenant ORDER BY name;
    """)

extension = next(Path("venv").rglob("sqlite_scanner.duckdb_extension"))
duck = duckdb.connect(config={"allow_unsigned_extensions": "true"})
duck.execute(f"LOAD '{extension}'")
duck.execute("ATTACH 'people.db' AS file (TYPE sqlite, READ_ONLY)")
print("table", duck.execute("SELECT name, tenant FROM file.people ORDER BY name").fetchall())
print("view with =", duck.execute("SELECT name FROM file.equal").fetchall())
try:
    print("view with IS", duck.execute("SELECT name FROM file.same").fetchall())
except duckdb.Error as error:
    print("view with IS:", type(error).__name__)
print("sqlite_query", duck.execute("SELECT * FROM sqlite_query('file', 'SELECT name FROM same')").fetchall())
PY
venv/bin/python try.py >seen
cat seen
diff seen - <<'EXPECTED'
table [('ann', None), ('bob', 'x')]
view with = [('bob',)]
view with IS: ParserException
sqlite_query [('ann',), ('bob',)]
EXPECTED
