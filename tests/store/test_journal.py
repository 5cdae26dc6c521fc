"""Exchanges that wait in a file: whole, in order, without secrets, and back in the store exactly once."""

from __future__ import annotations

import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import StoreUnavailable
from gateway.models.exchange import Exchange, Identity, LoggingOptOut, Outcome, PayloadPolicy
from gateway.models.filters import Comparison, Op
from gateway.store import has_journaled_rows, journal_path
from gateway.store.base import Store
from gateway.store.journal import RECORD_MAGIC, Journal, replay_journal
from tests.store.samples import exchange, feedback, request_of, requests_of

WHOLE = exchange(
    identity=Identity("r", "t", "span", "parent", "plan", {"_user": "ann", "n": [1, None]}),
    tenant="north",
    key_name="app",
    first_byte_at_us=1_700_000_000_100_000,
    status=None,
    outcome=Outcome.CLIENT_CLOSED,
    error="the client left",
    attempt=3,
    cache_status="MISS",
    payloads=PayloadPolicy.REDACTED,
    request_headers=((b"X-Odd", b"\xff"), (b"X-Odd", b"")),
    request_body=RECORD_MAGIC * 3 + bytes(range(256)),
    response_body=RECORD_MAGIC,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db.spill"


@contextmanager
def file_size_limit(size_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def ids(exchanges: Sequence[Exchange]) -> list[str]:
    return [one.identity.request_id for one in exchanges]


def test_exchanges_come_back_whole_and_in_order(path: Path) -> None:
    assert Journal(path).is_empty
    journal = Journal(path)
    journal.add(WHOLE)
    journal.add(exchange("b"))
    assert not journal.is_empty
    assert list(Journal(path).records()) == [WHOLE, exchange("b")]


def test_secrets_do_not_reach_the_file(path: Path) -> None:
    Journal(path).add(
        exchange(request_headers=((b"Authorization", b"Bearer sk-sesame"),), path="/v1/x?key=sk-sesame")
    )
    assert b"sesame" not in path.read_bytes()
    [found] = Journal(path).records()
    assert found.request_headers == ((b"Authorization", b"[redacted]"),)


def test_payloads_that_may_not_be_kept_do_not_reach_the_file(path: Path) -> None:
    stream = ((b"Content-Type", b"text/event-stream"), (b"X-Name", b"sesame"))
    Journal(path).add(
        exchange(
            payloads=PayloadPolicy.OFF,
            request_headers=stream,
            request_body=b"sesame",
            response_headers=stream,
            response_body=b"sesame",
        )
    )
    assert b"sesame" not in path.read_bytes()
    [found] = Journal(path).records()
    assert found.response_headers == stream[:1]


@pytest.mark.parametrize(
    "opt_out", [LoggingOptOut(request=True), LoggingOptOut(response=True), LoggingOptOut(True, True)]
)
def test_an_omitted_side_does_not_reach_the_file(path: Path, opt_out: LoggingOptOut) -> None:
    named, stream = (b"X-Name", b"sesame"), (b"Content-Type", b"text/event-stream")
    given = exchange(
        opt_out=opt_out,
        request_headers=(named,),
        request_body=b"sesame?",
        response_headers=(stream, named),
        response_body=b"sesame!",
    )
    Journal(path).add(given)
    [found] = Journal(path).records()
    sides = not opt_out.request, not opt_out.response
    assert path.read_bytes().count(b"sesame") == 2 * sum(sides)
    assert (found.request_headers, found.request_body) == (((named,), b"sesame?") if sides[0] else ((), b""))
    assert found.response_body == (b"sesame!" if sides[1] else b"")
    assert found.response_headers == ((stream, named) if sides[1] else (stream,))
    assert found.opt_out == opt_out


@pytest.mark.parametrize("lost_bytes", [1, 20, 300])
def test_a_torn_last_record_is_passed_over_and_later_ones_are_read(path: Path, lost_bytes: int) -> None:
    journal = Journal(path)
    journal.add(exchange("a"))
    journal.add(exchange("torn"))
    path.write_bytes(path.read_bytes()[:-lost_bytes])
    assert ids(list(journal.records())) == ["a"]
    journal.add(exchange("c"))
    assert ids(list(journal.records())) == ["a", "c"]
    journal.clear()
    assert journal.is_empty


def test_a_damaged_record_is_passed_over(path: Path) -> None:
    journal = Journal(path)
    for name in ("a", "damaged", "c"):
        journal.add(exchange(name))
    path.write_bytes(path.read_bytes().replace(b"damaged", b"DAMAGED"))
    assert ids(list(journal.records())) == ["a", "c"]


@pytest.mark.parametrize("length", [1, 11, 12, 13, 1024 * 1024 - 2, 1024 * 1024 - 1, 1024 * 1024, 3_000_001])
def test_a_record_after_a_stretch_of_rubbish_is_found(path: Path, length: int) -> None:
    path.write_bytes(RECORD_MAGIC[:1] * length)
    journal = Journal(path)
    journal.add(exchange("a"))
    assert ids(list(journal.records())) == ["a"]


def test_what_is_added_while_reading_outlives_the_clearing(path: Path) -> None:
    journal = Journal(path)
    journal.add(exchange("a"))
    assert ids(list(journal.records())) == ["a"]
    journal.add(exchange("b"))
    journal.clear()
    assert ids(list(journal.records())) == ["b"]
    journal.clear()
    assert journal.is_empty
    journal.clear()


def test_a_file_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="No such file"):
        Journal(tmp_path / "missing" / "spill").add(exchange())


def test_a_full_disk_leaves_the_file_as_it_was(path: Path) -> None:
    journal = Journal(path)
    journal.add(exchange("a"))
    size = path.stat().st_size
    with file_size_limit(size + 100), pytest.raises(StoreUnavailable, match="too large"):
        journal.add(exchange("b"))
    assert path.stat().st_size == size
    journal.add(exchange("c"))
    assert ids(list(journal.records())) == ["a", "c"]


def test_only_the_owner_may_read_the_file(path: Path) -> None:
    Journal(path).add(exchange())
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_spill_lies_beside_the_database() -> None:
    assert journal_path("sqlite:////var/lib/gateway.db", 0) == Path("/var/lib/gateway.db.spill")


async def test_replay_moves_all_into_the_store(store: Store, path: Path) -> None:
    journal = Journal(path)
    names = [f"r{number}" for number in range(250)]
    for name in names:
        journal.add(exchange(name))
    assert await replay_journal(journal, store) == 250
    assert [record.request_id for record in await requests_of(store)] == names
    assert journal.is_empty
    assert await replay_journal(journal, store) == 0


async def test_a_replayed_row_is_like_any_other(store: Store, path: Path) -> None:
    journal = Journal(path)
    await store.put_feedback([feedback(subject_id="r", tenant="north")])
    journal.add(WHOLE)
    await replay_journal(journal, store)
    [(seq, found)] = await store.uninterpreted(10)
    assert found == WHOLE
    assert (await request_of(store, seq)).user == "ann"
    [joined] = await store.feedback_by_ids(["feedback-1"])
    assert joined.trace_id == "t"


async def test_a_replay_that_was_cut_short_makes_no_second_rows(store: Store, path: Path) -> None:
    journal = Journal(path)
    for name in ("a", "b", "c"):
        journal.add(exchange(name))
    await store.append(list(journal.records())[:2])
    assert await replay_journal(journal, store) == 1
    assert [record.request_id for record in await requests_of(store)] == ["a", "b", "c"]


async def test_the_same_id_at_another_time_is_another_request(store: Store, path: Path) -> None:
    journal = Journal(path)
    await store.append([exchange("a")])
    journal.add(exchange("a", started_at_us=5))
    journal.add(exchange("a", started_at_us=5))
    assert await replay_journal(journal, store) == 1
    assert len(await requests_of(store, Comparison("request_id", Op.EQ, "a"))) == 2


async def test_a_store_that_fails_again_leaves_all_in_the_file(store: Store, path: Path) -> None:
    journal = Journal(path)
    journal.add(exchange("a"))
    await store.close()
    with pytest.raises(StoreUnavailable):
        await replay_journal(journal, store)
    assert ids(list(journal.records())) == ["a"]


async def test_a_replayed_row_without_its_answer_is_still_a_stream_and_its_answer_omitted(
    store: Store, path: Path
) -> None:
    journal = Journal(path)
    stream = ((b"Content-Type", b"text/event-stream"),)
    journal.add(replace(exchange(), opt_out=LoggingOptOut(response=True), response_headers=stream))
    await replay_journal(journal, store)
    [record] = await requests_of(store)
    payload = await store.payload(record.seq)
    assert record.is_stream
    assert payload is not None
    assert (payload.opt_out, payload.response_headers) == (LoggingOptOut(response=True), ())
    assert payload.request_body == exchange().request_body


async def test_a_replayed_stream_without_payload_is_still_a_stream(store: Store, path: Path) -> None:
    journal = Journal(path)
    stream = ((b"Content-Type", b"text/event-stream"),)
    journal.add(replace(exchange(), payloads=PayloadPolicy.OFF, response_headers=stream))
    await replay_journal(journal, store)
    [record] = await requests_of(store)
    assert record.is_stream
    assert await store.payload(record.seq) is None


@pytest.mark.parametrize("worker", [0, 3])
def test_rows_that_any_worker_left_beside_the_store_are_noticed(tmp_path: Path, worker: int) -> None:
    url = f"sqlite:///{tmp_path}/odd [name].db"
    assert not has_journaled_rows(url)
    journal = Journal(journal_path(url, worker))
    journal.add(WHOLE)
    assert has_journaled_rows(url)
    list(journal.records())
    journal.clear()
    assert not has_journaled_rows(url)
