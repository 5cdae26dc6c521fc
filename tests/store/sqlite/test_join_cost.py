"""What joining a vote costs when many others wait."""

from __future__ import annotations

from gateway.store.body_codecs import BodyPacker
from gateway.store.feedback import put_feedback
from gateway.store.requests import append_exchanges
from gateway.store.sqlite.connection import SqliteConnection
from tests.store.samples import exchange, feedback


def statements_for_a_vote(connection: SqliteConnection, feedback_id: str) -> int:
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    put_feedback(connection, [feedback(feedback_id, "nowhere")], None)
    connection.set_trace_callback(None)
    return len(statements)


def test_feedback_costs_no_more_where_many_wait_for_the_same_request(connection: SqliteConnection) -> None:
    alone = statements_for_a_vote(connection, "first")
    put_feedback(connection, [feedback(f"vote-{number}", "nowhere") for number in range(300)], None)
    assert statements_for_a_vote(connection, "last") == alone


def test_all_that_wait_for_a_request_are_joined_when_it_comes(connection: SqliteConnection) -> None:
    put_feedback(connection, [feedback(f"vote-{number}", "trace-1") for number in range(300)], None)
    append_exchanges(connection, BodyPacker(), [exchange("r1", ended_at_us=1_900_000_000_000_000)])
    joined = connection.execute(
        "SELECT count(*) FROM feedback WHERE trace_id = 'trace-1' AND joined_at_us = 1900000000000000"
    )
    assert joined.fetchone()[0] == 300
