"""Domain objects survive their time as rows, whatever text and bytes are in them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.models.exchange import Exchange, Identity, LoggingOptOut, Outcome, PayloadPolicy
from gateway.models.feedback import Feedback, Kind, Source, Target
from gateway.store import feedback, requests
from gateway.store.rows import (
    FEEDBACK_ROWS,
    clean_text,
    exchange_from_row,
    from_json,
    list_to_json,
    redact_headers,
    redact_path,
    to_json,
)
from gateway.store.schema import (
    ANNOTATED_COLUMNS,
    EXPORTS,
    FEEDBACK,
    REQUEST_INSERT_COLUMNS,
    REQUESTS,
    payload_columns,
)
from tests.store.conftest import Engine
from tests.store.samples import exchange

ANY_TEXT = st.text(st.characters(codec=None), max_size=8)
MAYBE_TEXT = st.none() | ANY_TEXT
INTEGERS = st.integers(-(2**63) + 1, 2**63 - 1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=5,
)
METADATA = st.dictionaries(ANY_TEXT, JSON, max_size=3)
HEADERS = st.lists(st.tuples(st.binary(max_size=6), st.binary(max_size=6)), max_size=3).map(tuple)

EXCHANGES = st.builds(
    Exchange,
    identity=st.builds(Identity, ANY_TEXT, ANY_TEXT, MAYBE_TEXT, MAYBE_TEXT, MAYBE_TEXT, METADATA),
    tenant=MAYBE_TEXT,
    key_name=MAYBE_TEXT,
    provider=ANY_TEXT,
    endpoint=ANY_TEXT,
    method=ANY_TEXT,
    path=ANY_TEXT,
    started_at_us=INTEGERS,
    first_byte_at_us=st.none() | INTEGERS,
    ended_at_us=INTEGERS,
    status=st.none() | INTEGERS,
    outcome=st.sampled_from(Outcome),
    error=MAYBE_TEXT,
    attempt=INTEGERS,
    cache_status=MAYBE_TEXT,
    payloads=st.sampled_from([PayloadPolicy.FULL, PayloadPolicy.REDACTED]),
    opt_out=st.builds(LoggingOptOut, st.booleans(), st.booleans()),
    request_headers=HEADERS,
    request_body=st.binary(max_size=300),
    request_size=INTEGERS,
    response_headers=HEADERS,
    response_body=st.builds(bytes.__mul__, st.binary(max_size=5), st.integers(0, 200)),
    response_size=INTEGERS,
)

ENTRIES = st.builds(
    Feedback,
    feedback_id=ANY_TEXT,
    tenant=MAYBE_TEXT,
    subject_id=ANY_TEXT,
    target=st.sampled_from(Target),
    trace_id=MAYBE_TEXT,
    request_id=MAYBE_TEXT,
    joined_at_us=INTEGERS,
    kind=st.sampled_from(Kind),
    metric=MAYBE_TEXT,
    value=st.none() | st.floats(allow_nan=False),
    weight=st.floats(allow_nan=False),
    score=st.none() | st.floats(allow_nan=False),
    label=MAYBE_TEXT,
    comment=MAYBE_TEXT,
    original_text=MAYBE_TEXT,
    edited_text=MAYBE_TEXT,
    author=MAYBE_TEXT,
    app_id=MAYBE_TEXT,
    app_version=MAYBE_TEXT,
    source=st.sampled_from(Source),
    metadata=METADATA,
    dialect=ANY_TEXT,
    raw=ANY_TEXT,
    key_name=MAYBE_TEXT,
    created_at_us=INTEGERS,
    updated_at_us=INTEGERS,
    deleted_at_us=st.none() | INTEGERS,
)


def storable_fields(given: Any) -> dict[str, Any]:
    """Each text among an object's fields as it can be stored."""
    values = {field.name: getattr(given, field.name) for field in fields(given)}
    return {name: clean_text(value) if type(value) is str else value for name, value in values.items()}


def kept(exchange: Exchange) -> Exchange:
    """An exchange as it is once it has been stored."""
    identity = storable_fields(exchange.identity)
    identity["metadata"] = from_json(to_json(exchange.identity.metadata))
    values = storable_fields(exchange)
    values["identity"] = Identity(**identity)
    values["path"] = clean_text(redact_path(exchange.path))
    for side in ("request", "response"):
        is_omitted = getattr(exchange.opt_out, side)
        values[f"{side}_headers"] = () if is_omitted else tuple(redact_headers(values[f"{side}_headers"]))
        values[f"{side}_body"] = b"" if is_omitted else values[f"{side}_body"]
    return Exchange(**values)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given=EXCHANGES)
def test_an_exchange_of_any_text_and_bytes_comes_back(engine: Engine, given: Exchange) -> None:
    engine.connection.execute("BEGIN")
    try:
        [seq] = requests.append_exchanges(engine.connection, engine.packer, [given])
        rows = engine.connection.execute(requests.select_uninterpreted(engine.connection.dialect), (1,))
        assert [exchange_from_row(row) for row in rows] == [(seq, kept(given))]
    finally:
        engine.connection.execute("ROLLBACK")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given=ENTRIES)
def test_an_entry_of_any_text_comes_back(engine: Engine, given: Feedback) -> None:
    engine.connection.execute("BEGIN")
    try:
        feedback.put_feedback(engine.connection, [given], None)
        metadata = from_json(to_json(given.metadata))
        expected = Feedback(**{**storable_fields(given), "metadata": metadata})
        ids = list_to_json([given.feedback_id])
        rows = engine.connection.execute(feedback.select_entries(engine.connection.dialect), (ids,))
        assert [FEEDBACK_ROWS.from_row(row) for row in rows] == [expected]
    finally:
        engine.connection.execute("ROLLBACK")


@settings(max_examples=100, deadline=None)
@given(METADATA)
def test_json_of_anything_is_read_back_and_stays_as_it_is_from_then_on(given: dict[str, object]) -> None:
    once = from_json(to_json(given))
    assert from_json(to_json(once)) == once
    assert set(once) == {clean_text(key) for key in given}


def test_ordinary_json_is_kept_exactly() -> None:
    given = {"a": [1, 2.5, None, True, "ü"], "b": {"c": ""}, "d": -(2**63)}
    assert from_json(to_json(given)) == given


def test_text_that_no_database_takes_is_replaced_and_all_other_kept() -> None:
    assert clean_text("naïve\n😀") == "naïve\n😀"
    assert clean_text("a\0b") == "a\ufffdb"
    assert clean_text("a\ud800b") == "a\\ud800b"


@pytest.mark.parametrize(
    ("value", "column"), [("ann", "ann"), (7, "7"), ("", None), (True, None), (["a"], None), (None, None)]
)
def test_a_tag_is_a_column_if_it_is_text_or_a_number(
    engine: Engine, value: object, column: str | None
) -> None:
    requests.append_exchanges(
        engine.connection, engine.packer, [exchange(metadata={"_user": value, "_prompt": value})]
    )
    assert engine.connection.execute('SELECT "user", prompt FROM requests').fetchall() == [(column, column)]


def test_each_table_has_a_column_for_each_field(engine: Engine) -> None:
    def columns(table: str) -> list[str]:
        found: Any = engine.connection.execute(f"SELECT * FROM {table} LIMIT 0")
        return [column[0] for column in found.description]

    known = {*REQUEST_INSERT_COLUMNS, *ANNOTATED_COLUMNS}
    assert known == {*REQUESTS.columns, "payloads"}
    assert set(columns("requests")) == {*known, "worker"}
    counted = {"request_seq", "request_started_at_us", "change_seq"}
    assert set(columns("feedback")) == {*FEEDBACK.columns, "seq", *counted}
    assert set(columns("feedback_versions")) == {*FEEDBACK.columns, "change_seq"}
    assert tuple(columns("payloads")) == payload_columns(engine.packer.columns, engine.packer.copied_columns)
    assert columns("exports") == ["seq", *EXPORTS.columns]
