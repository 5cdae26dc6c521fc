"""What each person says: the same from rollups as when it is counted entry by entry."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import astuple, replace

import pytest

from gateway.models.feedback import Feedback, Kind, Source
from gateway.models.filters import NO_FILTER, Comparison, Filter, Op, Page, Scalar, Sort
from gateway.models.metrics import DAY_US, END_OF_TIME_US, MetricsQuery, PersonSums
from gateway.models.request import RequestRecord
from gateway.store.base import Store
from tests.store.random_data import DAYS, LATER_US, START_US, fill, some_feedback
from tests.store.samples import exchange, feedback

FIELDS = ["any_model", "provider", "key_name", "status", "metadata.team"]
CONDITIONS: list[Filter] = [NO_FILTER, Comparison("provider", Op.EQ, "openai")]

People = dict[Scalar, dict[str, PersonSums]]


def group_of(record: RequestRecord, field: str) -> Scalar:
    if field == "any_model":
        return record.model or record.requested_model
    if field == "metadata.team":
        team = record.metadata["team"]
        return str(team).lower() if isinstance(team, bool) else str(team)
    value: Scalar = getattr(record, field)
    return value


async def recount(store: Store, spec: MetricsQuery, source: Source) -> People:
    """Entry by entry: the latest of each person on each request."""
    assert spec.group_by is not None
    entries = await store.find_feedback(
        NO_FILTER, Sort("updated_at_us", descending=False), Page(10_000), spec.tenant
    )
    about = await store.counted_requests([entry.feedback_id for entry in entries])
    latest: dict[tuple[int, str], Feedback] = {}
    for entry in entries:
        record = about.get(entry.feedback_id)
        is_rating = entry.score is not None and entry.weight > 0
        if record is None or entry.source != source or not is_rating:
            continue
        if spec.from_us <= record.started_at_us < spec.to_us and matches(record, spec.where):
            latest[record.seq, entry.author or record.user or record.request_id] = entry
    records = {record.seq: record for record in about.values()}
    people: dict[Scalar, dict[str, list[float]]] = defaultdict(
        lambda: defaultdict(lambda: [0, 0, 0, 0.0, 0.0])
    )
    for (seq, person), entry in latest.items():
        assert entry.score is not None
        sums = people[group_of(records[seq], spec.group_by)][person]
        more = (1, entry.score > 0, entry.author is None, entry.weight, entry.weight * entry.score)
        sums[:] = [known + each for known, each in zip(sums, more, strict=True)]
    return {
        value: {person: PersonSums(*map(int, sums[:3]), *sums[3:]) for person, sums in group.items()}
        for value, group in people.items()
    }


def matches(record: RequestRecord, where: Filter) -> bool:
    return where == NO_FILTER or record.provider == "openai"


def assert_equal(found: People, expected: People) -> None:
    assert {value: set(group) for value, group in found.items()} == {
        value: set(group) for value, group in expected.items()
    }
    for value, group in expected.items():
        for person, sums in group.items():
            assert astuple(found[value][person]) == pytest.approx(astuple(sums))


async def test_rollups_say_of_each_person_what_a_recount_says(store: Store) -> None:
    dice = random.Random(1)
    await fill(store, dice, requests=80, entries=150)
    for round_ in range(3):
        for _ in range(12):
            from_us = START_US + dice.choice([0, DAY_US, DAY_US // 3])
            to_us = START_US + dice.choice([DAYS * DAY_US, 2 * DAY_US, DAYS * DAY_US - DAY_US // 5])
            tenant, field = dice.choice([None, "north"]), dice.choice(FIELDS)
            spec = MetricsQuery(from_us, to_us, dice.choice(CONDITIONS), group_by=field, tenant=tenant)
            found = await store.people(spec, Source.HUMAN)
            assert_equal(found, await recount(store, spec, Source.HUMAN))
        # The next round reads rollups, of which some are taken back at once.
        await store.roll_up(LATER_US)
        if round_ == 1:
            await store.put_feedback([some_feedback(dice, 1000 + number, 80) for number in range(10)])


async def test_the_latest_rating_of_a_person_on_a_request_counts_once(store: Store) -> None:
    await store.append([exchange("r1", "t1", metadata={"_user": "ann"}), exchange("r2", "t2")])
    given = [
        ("first", "t1", "ann", 1.0, 1),
        ("second", "t1", "ann", -1.0, 2),
        ("of the user", "t1", None, -0.5, 3),
        ("of another", "t1", "bob", 1.0, 2),
        ("of nobody", "t2", None, 0.5, 2),
    ]
    at = 1_700_000_100_000_000
    entries = [
        feedback(
            name, subject, author=author, score=score, value=score, created_at_us=at, updated_at_us=at + when
        )
        for name, subject, author, score, when in given
    ]
    of_model = replace(entries[0], feedback_id="of a model", source=Source.MODEL, author="judge")
    metric = replace(
        entries[1], feedback_id="of a metric", kind=Kind.SCORE, metric="tone", updated_at_us=at + 9
    )
    await store.put_feedback([*entries, of_model, metric])
    spec = MetricsQuery(0, END_OF_TIME_US, group_by="provider")
    [people] = (await store.people(spec, Source.HUMAN)).values()
    assert people == {
        "ann": PersonSums(1, 0, 1, 1.0, -0.5),
        "bob": PersonSums(1, 1, 0, 1.0, 1.0),
        "r2": PersonSums(1, 1, 1, 1.0, 0.5),
    }
    # A model is one author of everything: its entries are told apart by who asked.
    [judged] = (await store.people(spec, Source.MODEL)).values()
    assert set(judged) == {"ann"}
