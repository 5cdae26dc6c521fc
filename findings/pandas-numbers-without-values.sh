#!/usr/bin/env bash
# An INTEGER column of SQL without any value, read by pandas with nullable types.
#
# Versions: pandas==3.1.1; CPython 3.11.7 with SQLite 3.40.1 on Linux
# Guessed: `dtype_backend="numpy_nullable"`, which keeps integers with missing values as Int64, does so where all are
#   missing, or leaves the column as object
# Seen: the column is `string`, and its sum the empty text; without the option it is object and its sum 0. With pyarrow's
#   types it is text as well. Only `dtype` for this column makes it a number
# Output:
#   {}: object, sum 0
#   {'dtype_backend': 'numpy_nullable'}: string, sum ''
#   {'dtype_backend': 'numpy_nullable', 'dtype': {'cost': 'Int64'}}: Int64, sum 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'pandas==3.1.1'
cat >try.py <<'PY'
import sqlite3
import pandas as pd

file = sqlite3.connect(":memory:")
file.executescript("CREATE TABLE orders (name TEXT, cost INTEGER); INSERT INTO orders VALUES ('a', NULL), ('b', NULL)")
nullable = {"dtype_backend": "numpy_nullable"}
for options in ({}, nullable, {**nullable, "dtype": {"cost": "Int64"}}):
    cost = pd.read_sql_query("SELECT * FROM orders", file, **options)["cost"]
    total = cost.sum()
    print(f"{options}: {cost.dtype}, sum {total if total == 0 else repr(total)}")
PY
venv/bin/python try.py >seen
cat seen
diff seen - <<'EXPECTED'
{}: object, sum 0
{'dtype_backend': 'numpy_nullable'}: string, sum ''
{'dtype_backend': 'numpy_nullable', 'dtype': {'cost': 'Int64'}}: Int64, sum 0
EXPECTED
