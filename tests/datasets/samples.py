"""An exporter of few words, and stores and files to try it on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.datasets.formats import Column, JsonLines
from gateway.datasets.row_writer import Selection
from gateway.errors import BadInput
from gateway.models.export import Export
from gateway.models.filters import NO_FILTER, Comparison, Filter, Op, Page, Sort
from gateway.models.principal import Principal, Role
from gateway.query.requests import LoggedRequest
from gateway.store.base import Store

READER = Principal("reader", frozenset({Role.READ}))
NORTH = Principal("north", frozenset({Role.READ}), tenant="north")
SOUTH = Principal("south", frozenset({Role.READ}), tenant="south")

DIALECT = "test"


def select(filters: Mapping[str, Any]) -> Selection:
    """`model` is the model, `limit` and `offset` a page; anything else is wrong."""
    if unknown := set(filters) - {"model", "limit", "offset"}:
        raise BadInput("is not known.", field=unknown.pop())
    where: Filter = Comparison("any_model", Op.EQ, filters["model"]) if "model" in filters else NO_FILTER
    return Selection(where, Page(filters.get("limit", 1_000_000), filters.get("offset", 0)))


def _body(logged: LoggedRequest) -> object:
    return logged.request.body.decode() if logged.request else None


EXPORTER = JsonLines(
    select,
    {
        "id": Column(lambda logged: logged.record.request_id),
        "model": Column(lambda logged: logged.record.model),
        "body": Column(_body, needs_bodies=True),
    },
)


async def job_of(store: Store, export_id: str) -> Export:
    """A job as it is stored now."""
    [export] = await store.find_exports(Comparison("export_id", Op.EQ, export_id), Sort(), Page(1), None)
    return export


def lines(path: Path) -> list[Any]:
    """What a file of JSON lines holds."""
    text = path.read_bytes()
    assert not text or text.endswith(b"\n")
    return [json.loads(line) for line in text.splitlines()]
