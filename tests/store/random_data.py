"""Filling a store with something of everything, by chance."""

from __future__ import annotations

import os
import random

from gateway.models.exchange import Exchange, Outcome
from gateway.models.feedback import Feedback, Target
from gateway.models.filters import NO_FILTER, Comparison, Op, Page, Sort
from gateway.models.metrics import DAY_US
from gateway.models.request import Cost, Facts, Usage
from gateway.store.base import Store
from tests.store.expected_metrics import World
from tests.store.samples import exchange, feedback, requests_of

START_US = 1_700_000_000_000_000 // DAY_US * DAY_US
DAYS = 3
LATER_US = START_US + 30 * DAY_US
"""When everything is over and may be summed up."""


def seeds(count: int) -> range:
    """So many seeds, each of a random store that a property is held against; `TIMES_SEEDS` as many by hand."""
    return range(count * int(os.environ.get("TIMES_SEEDS", "1")))


def some_exchange(dice: random.Random, number: int) -> Exchange:
    started = START_US + dice.randrange(DAYS * DAY_US)
    return exchange(
        f"request-{number}",
        f"trace-{number // 3}",
        started_at_us=started,
        ended_at_us=started + int(dice.lognormvariate(13, 2)),
        first_byte_at_us=dice.choice([None, started + 1000]),
        tenant=dice.choice([None, "north", "south"]),
        provider=dice.choice(["openai", "local"]),
        key_name=dice.choice([None, "app"]),
        status=dice.choice([200, 200, 200, 429, 500, None]),
        outcome=dice.choice([Outcome.COMPLETE, Outcome.COMPLETE, Outcome.TIMEOUT, Outcome.CLIENT_CLOSED]),
        attempt=dice.choice([0, 0, 1]),
        client_retry=dice.choice([0, 0, 1]),
        endpoint=dice.choice(["chat.completions", "chat.completions", "models"]),
        method=dice.choice(["POST", "POST", "HEAD"]),
        metadata={
            "_user": dice.choice(["ann", "bob", ""]),
            "_session": dice.choice([None, "chat", number % 5]),
            "team": dice.choice(["red", "blue", True, 3]),
        },
    )


def some_facts(dice: random.Random) -> Facts:
    counted = Usage(dice.randrange(100), dice.randrange(100), dice.choice([None, 5]))
    return Facts(
        requested_model=dice.choice(["small", "large", None]),
        model=dice.choice(["small", "small-2", None]),
        usage=dice.choice([counted, Usage()]),
        cost=dice.choice([None, Cost(dice.randrange(1000), "v")]),
    )


def some_feedback(dice: random.Random, number: int, requests: int) -> Feedback:
    about = dice.randrange(requests)
    at = START_US + dice.randrange(DAYS * DAY_US)
    grade = dice.choice([None, dice.randint(-10, 10)])
    return feedback(
        f"feedback-{number}",
        dice.choice([f"trace-{about // 3}", f"request-{about}", "chat", "3", "unknown"]),
        target=dice.choice(list(Target)),
        tenant=dice.choice([None, "north", "south"]),
        author=dice.choice([None, "ann", "bob"]),
        value=grade,
        score=None if grade is None else grade / 10,
        grade=grade,
        weight=dice.choice([0.0, 0.3, 1.0]),
        created_at_us=at,
        updated_at_us=at,
        deleted_at_us=dice.choice([None, None, None, at]),
    )


async def fill(store: Store, dice: random.Random, requests: int = 60, entries: int = 40) -> None:
    seqs = await store.append([some_exchange(dice, number) for number in range(requests)])
    await store.put_feedback([some_feedback(dice, number, requests) for number in range(entries)])
    await store.annotate([(seq, some_facts(dice)) for seq in seqs], LATER_US)


async def world_of(store: Store) -> World:
    entries = await store.find_feedback(
        Comparison("deleted_at_us", Op.GE, 0), Sort(), Page(100_000), None
    ) + await store.find_feedback(NO_FILTER, Sort(), Page(100_000), None)
    return World(await requests_of(store), entries)
