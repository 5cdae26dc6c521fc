"""Domain objects ↔ tuples in the column order of `tables.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gateway.domain.audit import AuditEntry, Via
from gateway.domain.exchange import (
    Exchange,
    Identity,
    Omission,
    Outcome,
    PayloadPolicy,
    RawHeaders,
    declares_stream,
)
from gateway.domain.export import Export, ExportStatus
from gateway.domain.feedback import Feedback, Kind, Receipt, Source, Target
from gateway.domain.limit import Limit, Spending, Unit, Window
from gateway.domain.request import Facts, Payload, RequestRecord
from gateway.store.administration import StoredKey
from gateway.store.packing import OMITTED, Packer, headers_from_json, headers_to_json, unpack
from gateway.store.secrets import path_without_secrets, without_secrets
from gateway.store.tables import (
    AUDIT,
    EXPORTS,
    FEEDBACK,
    KEY_COLUMNS,
    REQUEST_INSERT_COLUMNS,
    REQUESTS,
    TAG_COLUMNS,
)
from gateway.store.text import (
    MAX_INTEGER,
    from_json,
    list_from_json,
    list_to_json,
    storable,
    storable_or_none,
    to_json,
)

Row = tuple[Any, ...]


def request_to_row(seq: int, exchange: Exchange) -> Row:
    """Return the values of `REQUEST_INSERT_COLUMNS`."""
    identity = exchange.identity
    metadata = identity.metadata
    return (
        seq,
        storable(identity.request_id),
        storable(identity.trace_id),
        storable_or_none(identity.span_id),
        storable_or_none(identity.parent_span_id),
        storable_or_none(identity.span_name),
        storable_or_none(exchange.tenant),
        storable_or_none(exchange.key_name),
        storable(exchange.provider),
        storable(exchange.endpoint),
        storable(exchange.method),
        storable(path_without_secrets(exchange.path)),
        exchange.started_at_us,
        exchange.first_byte_at_us,
        exchange.ended_at_us,
        exchange.status,
        exchange.outcome.value,
        storable_or_none(exchange.error),
        declares_stream(exchange.response_headers),
        exchange.attempt,
        exchange.client_retry,
        storable_or_none(exchange.cache_status),
        *tags_of(metadata),
        to_json(metadata),
        exchange.request_size,
        exchange.response_size,
        exchange.payloads.value,
    )


def tags_of(metadata: Mapping[str, object]) -> tuple[str | None, ...]:
    """Return the values of `TAG_COLUMNS`: the keys of metadata that have columns of their own."""
    return tuple(_tag(metadata, f"_{column}") for column in TAG_COLUMNS)


def session_of(metadata: Mapping[str, object]) -> str | None:
    """Return the session that a request's metadata names, as its column has it."""
    return _tag(metadata, "_session")


def payload_to_row(seq: int, exchange: Exchange, packer: Packer) -> Row:
    """Return the values of the columns of `payloads` in the packer's way."""
    request = response = ("[]", *packer.omitted)
    if exchange.keeps_request:
        request = _packed(exchange.request_headers, exchange.request_body, packer)
    if exchange.keeps_response:
        response = _packed(exchange.response_headers, exchange.response_body, packer)
    repeated = (getattr(exchange, column) for column in packer.repeated)
    return (seq, *repeated, *request, *response)


def facts_to_row(facts: Facts, at_us: int) -> Row:
    """Return the values of `FACT_COLUMNS`."""
    usage, cost = facts.usage, facts.cost
    return (
        storable_or_none(facts.requested_model),
        storable_or_none(facts.model),
        _integer(usage.prompt_tokens),
        _integer(usage.completion_tokens),
        _integer(usage.cached_tokens),
        _integer(usage.cache_write_tokens),
        _integer(usage.reasoning_tokens),
        _integer(cost.nanousd) if cost else None,
        storable(cost.price_version) if cost else None,
        storable_or_none(facts.response_id),
        storable_or_none(facts.finish_reason),
        storable_or_none(facts.note),
        at_us,
    )


def record_from_row(row: Sequence[Any]) -> RequestRecord:
    """Return the record whose `REQUESTS.columns` these are."""
    values = dict(zip(REQUESTS.columns, row, strict=True))
    values["outcome"] = Outcome(values["outcome"])
    values["is_stream"] = bool(values["is_stream"])
    values["metadata"] = from_json(values["metadata"])
    return RequestRecord(**values)


def record_to_row(seq: int, record: RequestRecord) -> Row:
    """Return the values of `REQUESTS.columns` for a record that gets another `seq`."""
    values = {column: getattr(record, column) for column in REQUESTS.columns}
    values |= {"seq": seq, "outcome": record.outcome.value}
    return tuple(map(_storable_value, values.values()))


def exchange_from_row(row: Sequence[Any]) -> tuple[int, Exchange]:
    """Return the `seq` and the exchange whose `EXCHANGE_COLUMNS` these are, as far as it was kept."""
    kept = dict(zip(REQUEST_INSERT_COLUMNS, row, strict=False))
    payload = row[len(REQUEST_INSERT_COLUMNS) :]
    for derived in ("is_stream", *TAG_COLUMNS):
        del kept[derived]
    seq: int = kept.pop("seq")
    ids = {
        name: kept.pop(name) for name in ("request_id", "trace_id", "span_id", "parent_span_id", "span_name")
    }
    identity = Identity(**ids, metadata=from_json(kept.pop("metadata")))
    kept["outcome"] = Outcome(kept["outcome"])
    kept["payloads"] = PayloadPolicy(kept["payloads"])
    if payload[0] is not None:
        kept["omission"] = Omission(payload[1] == OMITTED, payload[4] == OMITTED)
        kept["request_headers"] = headers_from_json(payload[0])
        kept["request_body"] = unpack(payload[1], payload[2])
        kept["response_headers"] = headers_from_json(payload[3])
        kept["response_body"] = unpack(payload[4], payload[5])
    return seq, Exchange(identity=identity, **kept)


def payload_of(exchange: Exchange) -> Payload:
    """Return what was kept of an exchange. Whether a redacted body was cut is unknown, so it counts as
    whole."""
    is_verbatim, omission = exchange.payloads is PayloadPolicy.FULL, exchange.omission
    is_request_cut = len(exchange.request_body) < exchange.request_size
    is_response_cut = len(exchange.response_body) < exchange.response_size
    return Payload(
        request_headers=exchange.request_headers,
        request_body=exchange.request_body,
        request_truncated=is_verbatim and not omission.request and is_request_cut,
        response_headers=exchange.response_headers,
        response_body=exchange.response_body,
        response_truncated=is_verbatim and not omission.response and is_response_cut,
        omission=omission,
    )


def feedback_to_row(entry: Feedback) -> Row:
    """Return the values of `FEEDBACK.columns`. What an edit has from its original is left out."""
    if entry.original_id is not None:
        entry = replace(entry, original_id=None, original_text=None)
    return tuple(_storable_value(getattr(entry, column)) for column in FEEDBACK.columns)


def feedback_from_row(row: Sequence[Any]) -> Feedback:
    """Return the entry whose `FEEDBACK.columns` these are."""
    values = dict(zip(FEEDBACK.columns, row, strict=True))
    values["target"] = Target(values["target"])
    values["kind"] = Kind(values["kind"])
    values["source"] = Source(values["source"])
    values["metadata"] = from_json(values["metadata"])
    return Feedback(**values)


def receipt_from_row(row: Sequence[Any]) -> Receipt:
    """Return the receipt of (scope, key, digest, feedback_ids)."""
    return Receipt(row[0], row[1], row[2], tuple(list_from_json(row[3])))


def key_from_row(row: Sequence[Any]) -> StoredKey:
    """Return the key whose `KEY_COLUMNS` these are."""
    values = dict(zip(KEY_COLUMNS, row, strict=True))
    values["roles"] = tuple(list_from_json(values["roles"]))
    values["limits"] = tuple(map(Limit.parse, list_from_json(values["limits"])))
    return StoredKey(**values)


def key_to_row(key: StoredKey) -> Row:
    """Return the values of `KEY_COLUMNS`."""
    values = {column: getattr(key, column) for column in KEY_COLUMNS}
    values["roles"] = list_to_json(key.roles)
    values["limits"] = list_to_json([str(limit) for limit in key.limits])
    return tuple(map(_storable_value, values.values()))


def spending_from_row(row: Sequence[Any]) -> Spending:
    """Return the spending whose `SPENDING_COLUMNS` these are."""
    key_name, unit, window, starts_at_us, amount = row
    return Spending(key_name, Unit(unit), Window(window), starts_at_us, amount)


def export_to_row(export: Export) -> Row:
    """Return the values of `EXPORTS.columns`."""
    values = {column: getattr(export, column) for column in EXPORTS.columns}
    values["columns"] = list_to_json(export.columns)
    return tuple(_storable_value(value) for value in values.values())


def export_from_row(row: Sequence[Any]) -> Export:
    """Return the job whose `EXPORTS.columns` these are."""
    values = dict(zip(EXPORTS.columns, row, strict=True))
    values["filters"] = from_json(values["filters"])
    values["columns"] = tuple(list_from_json(values["columns"]))
    values["status"] = ExportStatus(values["status"])
    return Export(**values)


def audit_to_row(entry: AuditEntry) -> Row:
    """Return the values of `AUDIT.columns`."""
    return tuple(_storable_value(getattr(entry, column)) for column in AUDIT.columns)


def audit_from_row(row: Sequence[Any]) -> AuditEntry:
    """Return the entry whose `AUDIT.columns` these are."""
    values = dict(zip(AUDIT.columns, row, strict=True))
    values["via"] = Via(values["via"])
    return AuditEntry(**values)


def _packed(headers: RawHeaders, body: bytes, packer: Packer) -> Row:
    return (headers_to_json(without_secrets(headers)), *packer.pack(body, headers))


def _tag(metadata: Mapping[str, object], key: str) -> str | None:
    value = metadata.get(key)
    if isinstance(value, str):
        return storable(value) or None
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _integer(value: int | None) -> int | None:
    return None if value is None else max(-MAX_INTEGER, min(value, MAX_INTEGER))


def _storable_value(value: Any) -> Any:
    if isinstance(value, str):
        return storable(str(value))
    return to_json(value) if isinstance(value, Mapping) else value
