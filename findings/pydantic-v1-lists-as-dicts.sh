#!/usr/bin/env bash
# A field `Dict[str, Any]` of a model of `pydantic.v1`, which pydantic 2 brings along for older models, given a list.
#
# Versions: pydantic==2.14.4 (its `pydantic.v1`); CPython 3.11.7 on Linux
# Guessed: a list is no dict, and is refused, as by a model of pydantic 2
# Seen: what `dict()` takes is taken: the empty list becomes {}, a list of pairs a dict, and a list of strings of two
#   letters too: `["ab"]` is {"a": "b"}. The empty string is {} as well; `[1]` is refused.
# Output:
#   []          v1 {}           v2 refused
#   ''          v1 {}           v2 refused
#   ['ab']      v1 {'a': 'b'}   v2 refused
#   [['a', 1]]  v1 {'a': 1}     v2 refused
#   [1]         v1 refused      v2 refused
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'pydantic==2.14.4'
venv/bin/python - <<'PY'
from typing import Any, Dict
import pydantic, pydantic.v1

class Old(pydantic.v1.BaseModel):
    field: Dict[str, Any]

class New(pydantic.BaseModel):
    field: Dict[str, Any]

def taken(model, value):
    """What the field holds, or "refused"."""
    try:
        return model(field=value).field
    except ValueError:
        return "refused"

seen = [(value, taken(Old, value), taken(New, value)) for value in ([], "", ["ab"], [["a", 1]], [1])]
for value, old, new in seen:
    print(f"{value!r:11} v1 {old!s:12} v2 {new}")
assert [old for _, old, _ in seen] == [{}, {}, {"a": "b"}, {"a": 1}, "refused"]
assert all(new == "refused" for *_, new in seen)
PY
