"""Rows of other gateways' logs, each beside what it is expected to tell.

A case is `imported/<name>.json` in the folder of an API, a row as it is exported, beside
`<name>.expected.json`, the non-empty parts of the imported request. A new case is two files and no code.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import Enum
from operator import attrgetter
from pathlib import Path
from typing import Any

import orjson
from hypothesis import strategies as st

from gateway.errors import BadInput
from gateway.models.exchange import NO_OPT_OUT
from gateway.models.request import ImportedRequest

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


NAME = attrgetter("name")


@dataclass(frozen=True)
class Case:
    path: Path

    @property
    def row(self) -> dict[str, Any]:
        """The row as it is exported."""
        row: dict[str, Any] = json.loads(self.path.read_text())
        return row

    @property
    def expected(self) -> Any:
        """What `told` must return of it."""
        return json.loads(self.path.with_suffix(".expected.json").read_text())

    def __str__(self) -> str:
        return self.path.stem


def cases_in(folder: Path) -> list[Case]:
    """Return the cases of a dialect."""
    paths = sorted((folder / "imported").glob("*.json"))
    return [Case(path) for path in paths if not path.name.endswith(".expected.json")]


def tried(
    row: dict[str, Any], translate: Callable[[dict[str, Any]], ImportedRequest]
) -> tuple[ImportedRequest | None, BadInput | None]:
    """Return what a row becomes when it is read from a file and translated, or why it is refused."""
    try:
        return translate(orjson.loads(json.dumps(row))), None
    except BadInput as error:
        return None, error


def told(past: ImportedRequest) -> Any:
    """Return what is not empty in a past request as JSON."""
    return _plain(past)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    if value == NO_OPT_OUT:
        return None
    if isinstance(value, Enum):
        return value.value
    if hasattr(value, "__dataclass_fields__"):
        value = {
            name: found for name in map(NAME, fields(value)) if (found := getattr(value, name)) is not False
        }
    if isinstance(value, dict):
        plain = {name: _plain(item) for name, item in value.items()}
        return {name: item for name, item in plain.items() if item not in (None, "", [], {})}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
