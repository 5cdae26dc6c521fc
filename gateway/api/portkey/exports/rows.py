"""What Portkey's exports write: its columns, one JSON object a line.

Source: LogExportsRequestedData of https://github.com/Portkey-AI/openapi.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import orjson

from gateway.api.portkey import records
from gateway.api.portkey.generations import to_filter, to_page
from gateway.api.portkey.records import CURRENCY, MODE, UrlOf
from gateway.api.portkey.values import iso_time
from gateway.query.exports import Column, Exporter, JsonLines, Selection

FILTERS = "filters"
"""The field of bodies that holds filters, for complaints."""


def portkey_exporter(url_of: UrlOf) -> Exporter:
    """Return what reads the filters of Portkey's exports and writes their lines."""
    return JsonLines(_select, _columns(url_of))


def _select(filters: Mapping[str, object]) -> Selection:
    return Selection(to_filter(filters, FILTERS), to_page(filters, FILTERS))


def _columns(url_of: UrlOf) -> Mapping[str, Column]:
    return MappingProxyType(
        {
            "id": Column(lambda logged: logged.record.request_id),
            "trace_id": Column(lambda logged: logged.record.trace_id),
            "created_at": Column(lambda logged: iso_time(logged.record.started_at_us)),
            "request": Column(lambda logged: _embed(records.request_body(logged)), needs_bodies=True),
            "response": Column(lambda logged: _embed(records.response_body(logged)), needs_bodies=True),
            "is_success": Column(lambda logged: records.is_success(logged.record)),
            "ai_org": Column(lambda logged: logged.record.provider),
            "ai_model": Column(lambda logged: logged.record.any_model),
            "req_units": Column(lambda logged: logged.record.prompt_tokens),
            "res_units": Column(lambda logged: logged.record.completion_tokens),
            "total_units": Column(lambda logged: logged.record.total_tokens),
            "request_url": Column(lambda logged: records.request_url(logged.record, url_of)),
            "cost": Column(lambda logged: records.cents(logged.record)),
            "cost_currency": Column(lambda logged: CURRENCY),
            "response_time": Column(lambda logged: records.response_ms(logged.record)),
            "response_status_code": Column(lambda logged: logged.record.status),
            "mode": Column(lambda logged: MODE),
            "config": Column(lambda logged: None),
            "prompt_slug": Column(lambda logged: logged.record.prompt),
            "metadata": Column(lambda logged: dict(logged.record.metadata)),
        }
    )


COLUMNS = tuple(_columns(lambda provider, path: None))
"""Names of the columns."""


def _embed(body: bytes | None) -> orjson.Fragment | None:
    return None if body is None else orjson.Fragment(body)
