"""A complete row is what one that is appended, and annotated with the same facts later, becomes."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from gateway.models.exchange import Exchange, Identity, LoggingOptOut, Outcome, PayloadPolicy
from gateway.models.feedback import Target
from gateway.models.metrics import DAY_US
from gateway.models.request import Facts, Usage
from gateway.store.dialect import Connection
from gateway.store.feedback import put_feedback
from gateway.store.requests import annotate_requests, append_exchanges, ingest_exchanges
from gateway.wire import read_facts
from tests.store.conftest import Engine
from tests.store.samples import exchange, feedback
from tests.wire.samples import ALL, SOMEWHERE

AT_US = 1_900_000_000_000_000
START_US = 1_753_000_000_000_000

Rows = Sequence[tuple[Exchange, Facts]]
Write = Callable[[Connection, Engine, Rows], list[tuple[int, Facts]]]

TABLES = {
    "requests": "SELECT * FROM requests ORDER BY seq",
    "payloads": "SELECT * FROM payloads ORDER BY seq",
    "other_response_ids": "SELECT seq, response_id FROM other_response_ids ORDER BY seq, response_id",
    "feedback": "SELECT * FROM feedback ORDER BY feedback_id",
    "rollup_seals": "SELECT * FROM rollup_seals ORDER BY kind, span_us, starts_at_us",
}
METADATA: Sequence[dict[str, object]] = (
    {},
    {"_user": "ann", "team": "é\0"},
    {"_user": "", "_session": None},
    {"_user": {"name": "bob"}, "_session": 7},
    {"_session": "chat"},
)
POLL = Facts(is_retrieval=True, usage=Usage(prompt_tokens=100))
POLICIES = (PayloadPolicy.FULL, PayloadPolicy.FULL, PayloadPolicy.REDACTED, PayloadPolicy.OFF)


def in_two_writes(connection: Connection, engine: Engine, rows: Rows) -> list[tuple[int, Facts]]:
    seqs = append_exchanges(connection, engine.packer, [each for each, _ in rows])
    facts = [found for _, found in rows]
    return annotate_requests(connection, list(zip(seqs, facts, strict=True)), AT_US)


def in_one_write(connection: Connection, engine: Engine, rows: Rows) -> list[tuple[int, Facts]]:
    return ingest_exchanges(connection, engine.packer, rows, AT_US)


def outcome_of(engine: Engine, write: Write, batches: Sequence[Rows]) -> dict[str, Any]:
    """What is in the tables, and what is to be counted, after batches that are then undone.

    New `seq`s are counted from the first one on, since PostgreSQL never takes one twice.
    """
    connection = engine.connection
    connection.execute("BEGIN")
    counted = [each for rows in batches for each in write(connection, engine, rows)]
    first = counted[0][0]
    found: dict[str, Any] = {"counted": [(seq - first, facts) for seq, facts in counted]}

    def relative(table: str, name: str, value: Any) -> Any:
        is_seq = name == "request_seq" or (name == "seq" and table != "feedback")
        return f"first + {value - first}" if is_seq and value is not None and value >= first else value

    for table, sql in TABLES.items():
        cursor = connection.execute(sql)
        names = [column[0] for column in cursor.description]  # type: ignore[attr-defined]
        found[table] = [
            {name: relative(table, name, value) for name, value in zip(names, row, strict=True)}
            for row in cursor.fetchall()
        ]
    connection.execute("ROLLBACK")
    return found


def assert_same(engine: Engine, batches: Sequence[Rows]) -> dict[str, Any]:
    ours, theirs = outcome_of(engine, in_one_write, batches), outcome_of(engine, in_two_writes, batches)
    for table in ours:
        pairs = zip(ours[table], theirs[table], strict=True)
        assert not [(one, other) for one, other in pairs if one != other], table
    return ours


def wire_rows() -> list[tuple[Exchange, Facts]]:
    """A row for each case of each format, with whatever else an exchange may have."""
    dice, rows = random.Random(1), []
    for number, case in enumerate(ALL):
        given = case.exchange()
        given = replace(
            given,
            identity=Identity(f"request-{number}", f"trace-{number // 3}", metadata=dice.choice(METADATA)),
            started_at_us=START_US + number * 60_000_000,
            ended_at_us=START_US + number * 60_000_000 + 5,
            tenant=dice.choice((None, None, "north")),
            payloads=dice.choice(POLICIES),
            opt_out=LoggingOptOut(response=dice.random() < 0.1),
            request_headers=((b"Authorization", b"Bearer secret"), (b"x-\xe9", b'a"\\\x01\x02b')),
            path=f"{SOMEWHERE}?key=secret&\0",
        )
        rows.append((given, replace(read_facts(given), user=dice.choice((None, "cy\0d")))))
    return rows


@pytest.mark.parametrize("size", [64, 10_000])
def test_one_write_equals_two_for_every_format(engine: Engine, size: int) -> None:
    rows = wire_rows()
    put_feedback(engine.connection, [feedback(f"waits-{n}", f"trace-{n}") for n in range(5)], None)
    # Where two rows have an id, it is the newer that waiting feedback finds, whichever that is by then.
    times = Counter(found.response_id for _, found in rows)
    ids = [name for name, number in times.items() if name is not None and number == 1]
    late = [*ids[:9], *ids[-9:], "chat", "request-7"]
    put_feedback(engine.connection, [feedback(f"late-{n}", name) for n, name in enumerate(late)], None)
    found = assert_same(engine, [rows[at : at + size] for at in range(0, len(rows), size)])
    assert len(found["requests"]) == len(rows)
    joined = [entry for entry in found["feedback"] if entry["joined_at_us"] is not None]
    assert len(joined) > 15
    assert any(entry["target"] == Target.SESSION for entry in joined)


def test_one_write_equals_two_for_rows_that_change_others(engine: Engine) -> None:
    """Chains of answers, answers that are asked for again, later requests of a trace, rollups."""
    begun = exchange("begun", "trace-0", started_at_us=START_US)
    ingest_exchanges(engine.connection, engine.packer, [(begun, Facts(response_id="resp_0", session="s"))], 1)
    about = [feedback("of trace", "trace-0", created_at_us=START_US + 10**9), feedback("of session", "s")]
    put_feedback(engine.connection, about, None)
    columns = ("kind", "span_us", "starts_at_us", "ticket", "drawn_at_us", "fields")
    days = [("usage", DAY_US, (START_US // DAY_US + day) * DAY_US, "t", 1, "[]") for day in range(3)]
    engine.connection.insert("rollup_seals", columns, days)
    told = [
        Facts(response_id="resp_1", previous_response_id="resp_0"),
        Facts(
            response_id="resp_2",
            previous_response_id="resp_1",
            outcome=Outcome.PROVIDER_ERROR,
            is_stream=False,
        ),
        Facts(response_id="resp_3", previous_response_id="nobody knows", other_response_ids=("a", "b\0")),
        replace(POLL, response_id="resp_0"),
        replace(POLL, response_id="resp_9"),
        replace(POLL, response_id="resp_9"),
        Facts(response_id="nobody knows", session="s", is_stream=True),
    ]
    rows = [
        (
            exchange(f"r{n}", f"trace-{n % 2}", started_at_us=START_US + n * 1000, endpoint="responses"),
            facts,
        )
        for n, facts in enumerate(told)
    ]
    found = assert_same(engine, [rows])
    assert_same(engine, [[row] for row in rows])
    assert_same(engine, [rows[::-1]])
    assert len(found["rollup_seals"]) == 2
    assert {row["session"] for row in found["requests"]} >= {"s"}
    assert [row["prompt_tokens"] for row in found["requests"]].count(100) == 2
