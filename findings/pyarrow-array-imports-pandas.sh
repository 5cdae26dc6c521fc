#!/usr/bin/env bash
# What else pyarrow.array loads, given a plain list.
#
# Versions: pyarrow==26.0.1, pandas==3.1.1, numpy==2.4.6; CPython 3.11.7 on Linux
# Guessed: pandas has no part in an array made of a list of Python's numbers, and is not loaded
# Seen: it is imported where it is installed, only to see that the list is none of its objects, and stays in memory; an
#   array made of buffers does not load it
# Output:
#   import pyarrow, pyarrow.parquet   pandas loaded: False
#   Array.from_buffers                pandas loaded: False
#   pyarrow.array([1, 2])             pandas loaded: True
#   memory that takes                 more than 20 MiB
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'pyarrow==26.0.1' 'pandas==3.1.1' 'numpy==2.4.6'
venv/bin/python - <<'PY'
import sys
from array import array
from pathlib import Path

import pyarrow
import pyarrow.parquet

def memory_mib():
    """The resident memory of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))

seen = ["pandas" in sys.modules]
print("import pyarrow, pyarrow.parquet   pandas loaded:", seen[-1])
numbers = pyarrow.Array.from_buffers(pyarrow.int64(), 2, [None, pyarrow.py_buffer(array("q", [1, 2]))])
seen.append("pandas" in sys.modules)
print("Array.from_buffers                pandas loaded:", seen[-1])
before = memory_mib()
assert pyarrow.array([1, 2]).equals(numbers)
seen.append("pandas" in sys.modules)
print("pyarrow.array([1, 2])             pandas loaded:", seen[-1])
grown = memory_mib() - before
print("memory that takes                ", "more than 20 MiB" if grown > 20 else f"{grown:.0f} MiB")
assert seen == [False, False, True] and grown > 20
PY
