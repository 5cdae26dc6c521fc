"""Numbers of processes on any machine: rows of one that died are taken over, those of one that lives never."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from gateway.models.request import Facts
from gateway.store import WorkerSlots, acquire_worker_slots, journal_path, open_store
from gateway.store.base import Store
from tests.store.samples import exchange

ClaimOn = Callable[[str], WorkerSlots]


@pytest.fixture
def claim_on(url: str, tmp_path: Path) -> Iterator[ClaimOn]:
    """Claim a number for a process on a machine of this name."""
    claims: list[WorkerSlots] = []

    def claim(machine: str) -> WorkerSlots:
        folder = tmp_path / machine
        folder.mkdir(exist_ok=True)
        claims.append(acquire_worker_slots(url, 0, 1, folder))
        return claims[-1]

    yield claim
    for each in claims:
        each.release()


def let_time_pass(url: str, numbers: tuple[int, ...]) -> None:
    """Let the leases on these numbers run out."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "UPDATE workers SET lease_until = now() - INTERVAL '1 second' WHERE number = %s", numbers
        )


async def ids(store: Store) -> list[str]:
    """What is left to this process to interpret."""
    return [found.identity.request_id for _, found in await store.uninterpreted(10)]


async def test_rows_of_a_process_that_died_are_taken_over_once(url: str, claim_on: ClaimOn) -> None:
    dead, first, second = (claim_on(machine) for machine in ("a", "b", "c"))
    writer = await open_store(url, worker_slots=dead.numbers)
    await writer.append([exchange("left")])
    await writer.close()
    assert [first.renew(), second.renew()] == [0, 0]

    let_time_pass(url, dead.numbers)

    assert [first.renew(), second.renew()] == [1, 0]
    store = await open_store(url, worker_slots=first.numbers)
    assert await ids(store) == ["left"]
    await store.close()


async def test_rows_of_a_living_process_are_its_own(url: str, claim_on: ClaimOn) -> None:
    living, other = claim_on("a"), claim_on("b")
    store = await open_store(url, worker_slots=living.numbers)
    await store.append([exchange("mine")])

    assert [other.renew(), living.renew(), other.renew()] == [0, 0, 0]

    assert await ids(store) == ["mine"]
    await store.close()


async def test_who_slept_too_long_has_its_number_again_and_its_facts_count_once(
    url: str, claim_on: ClaimOn
) -> None:
    slow, other = claim_on("a"), claim_on("b")
    store = await open_store(url, worker_slots=slow.numbers)
    [seq] = await store.append([exchange("mine")])
    let_time_pass(url, slow.numbers)
    assert other.renew() == 1

    await store.annotate([(seq, Facts(model="first"))], 1)
    await store.annotate([(seq, Facts(model="second"))], 2)
    slow.renew()
    await store.append([exchange("next")])

    assert other.renew() == 0
    assert await ids(store) == ["next"]
    await store.close()


async def test_rows_that_a_command_stored_are_interpreted_by_a_gateway(url: str, claim_on: ClaimOn) -> None:
    command = await open_store(url)
    await command.append([exchange("imported")])
    await command.close()
    assert claim_on("a").renew() == 1


def test_processes_on_one_machine_have_spill_files_of_their_own(
    url: str, tmp_path: Path, claim_on: ClaimOn
) -> None:
    first, second, elsewhere = claim_on("here"), claim_on("here"), claim_on("there")
    assert first.journals == (journal_path(url, 0, tmp_path / "here"),)
    assert second.journals == (journal_path(url, 1, tmp_path / "here"),)
    assert elsewhere.journals == (journal_path(url, 0, tmp_path / "there"),)
    left = *first.journals, *second.journals
    second.release()
    first.release()
    assert claim_on("here").journals == left


def test_files_are_named_by_the_database_and_by_nothing_secret(tmp_path: Path) -> None:
    plain = journal_path("postgresql://me:sesame@db/gateway", 0, tmp_path)
    assert plain == journal_path("postgresql://you@db/gateway", 0, tmp_path)
    assert plain != journal_path("postgresql://me@other/gateway", 0, tmp_path)
    assert plain.name.startswith("gateway-")
    assert "sesame" not in plain.name
