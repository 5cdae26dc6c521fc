"""Any filter finds exactly the rows that a plain reading of it finds, and no other tenant's."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.exchange import PayloadPolicy
from gateway.domain.request import Cost, Facts, Usage

from .plain import passes
from .served import Served

ROWS = 50
START_US = 1_700_000_000_000_000
USERS = [None, "ann", "Ann", "bob", "a%b", "é"]
MODELS = [None, "gpt-4o", "GPT-4o", "claude", "a_b"]
PROVIDERS = ["openai", "anthropic", "groq", "mine"]
VALUES: list[Any] = [
    "pro",
    "Pro",
    "free",
    "a%b",
    "null?",
    "",
    5,
    -1,
    0.5,
    True,
    False,
    None,
    ["x", 1],
    {"a": "é"},
]
KEYS = ["plan", 'say "k"', "a.b", "_prompt"]
SCORES = ["quality", "a.b"]
COUNTS = [None, 0, 1, 7, 12]
COSTS = [None, 0, 1, 1_250_000, 100_000_000, 3_000_000_000]


async def fill(served: Served) -> None:
    """Log the same 50 requests each time, a third of them of each tenant and of none, most with verdicts."""
    chance = random.Random(7)
    for number in range(ROWS):
        tenant = [None, "north", "south"][number % 3]
        request_id = f"{tenant}-{number}"
        start_us = START_US + chance.randrange(4) * 500_000
        user = chance.choice(USERS)
        metadata = {key: chance.choice(VALUES) for key in KEYS if chance.random() < 0.6}
        facts = Facts(
            requested_model=chance.choice(MODELS),
            model=chance.choice(MODELS),
            usage=Usage(prompt_tokens=chance.choice(COUNTS), completion_tokens=chance.choice(COUNTS)),
            cost=None if (nanousd := chance.choice(COSTS)) is None else Cost(nanousd, "1"),
        )
        await served.log(
            request_id,
            facts,
            tenant=tenant,
            metadata=metadata if user is None else {**metadata, "_user": user},
            started_at_us=start_us,
            first_byte_at_us=chance.choice([None, start_us + 1_999, start_us + 100_000]),
            ended_at_us=start_us + chance.choice([100_000, 250_999, 7_000_000]),
            status=chance.choice([None, 200, 404]),
            provider=chance.choice(PROVIDERS),
            payloads=PayloadPolicy.OFF,
        )
        for author in chance.sample(["ann", "bob"], chance.randrange(3)):
            await served.rate(request_id, chance.random() < 0.5, tenant, Helicone_User_Id=author)
        for name in chance.sample(SCORES, chance.randrange(3)):
            await served.score(request_id, tenant, **{name: chance.choice([True, 0.5, -2, 0])})


def conditions(operators: list[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """One to three operators that must all hold."""
    return st.dictionaries(st.sampled_from(operators), values, min_size=1, max_size=3)


EQUALITY = ["equals", "not-equals"]
TEXTS = st.sampled_from(
    [*filter(None, USERS), *filter(None, MODELS), "pro", "5", "0.5", "true", "", "%", "a_b", "PRO"]
)
TEXT = st.one_of(
    conditions(
        [*EQUALITY, "like", "ilike", "contains", "not-contains"], TEXTS | st.text("aAn%_é[*", max_size=3)
    ),
    conditions(EQUALITY, st.none() | TEXTS),
)
NUMBERS = st.sampled_from([-2, -1, 0, 0.5, 1, 7, 12, 14, 100, 200, 250, 404, 7000])
NUMBER = conditions([*EQUALITY, "gte", "lte", "gt", "lt"], NUMBERS) | conditions(EQUALITY, st.none())
COST = conditions(
    [*EQUALITY, "gte", "lte", "gt", "lt"], st.sampled_from([0, 1e-9, 0.00125, 0.1, 3, 0.3, 1e-10])
)
TIME = conditions(
    ["equals", "gte", "lte", "gt", "lt"],
    st.sampled_from(
        ["2023-11-14T22:13:20Z", "2023-11-14T22:13:20.500Z", "2023-11-14 22:13:21", "2023-11-14T23:13:21+01:00",
         "2023-11-14T22:13:20.100000Z", "2100-01-01"]
    ),
)  # fmt: skip
FLAG = st.fixed_dictionaries({"equals": st.none() | st.booleans()})
PROVIDER = conditions(
    [*EQUALITY, "like", "ilike", "contains", "not-contains"],
    st.sampled_from(["OPENAI", "CUSTOM", "openai", "GROQ", "%O%", "%o%", "AI", "x", ""]),
)
PROPERTY_KEY = conditions(EQUALITY, st.sampled_from([*KEYS, "other"]))
SCORE_NAME = conditions(EQUALITY, st.sampled_from([*SCORES, "other"]))

RMT: dict[str, st.SearchStrategy[Any]] = {
    "latency": NUMBER,
    "status": NUMBER,
    "request_created_at": TIME,
    "response_created_at": TIME,
    "model": TEXT,
    "user_id": TEXT,
    "request_id": TEXT,
    "prompt_tokens": NUMBER,
    "completion_tokens": NUMBER,
    "total_tokens": NUMBER,
    "time_to_first_token": NUMBER,
    "provider": PROVIDER,
    "cost": COST,
    "property_key": PROPERTY_KEY,
    "scores_column": SCORE_NAME,
    "properties": st.dictionaries(st.sampled_from(KEYS), TEXT, max_size=2),
    "search_properties": st.dictionaries(st.sampled_from(KEYS), TEXT, max_size=2),
    "scores": st.dictionaries(st.sampled_from(SCORES), NUMBER, max_size=2),
}
TABLES: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "request": {
        "created_at": TIME,
        "user_id": TEXT,
        "id": TEXT,
        "model": TEXT,
        "path": TEXT,
        "prompt_id": TEXT,
    },
    "response": {"body_tokens": NUMBER, "body_model": TEXT, "status": NUMBER, "model": TEXT},
    "feedback": {"id": TEXT, "created_at": TIME, "rating": FLAG},
    "properties": {key: TEXT for key in KEYS},
    "request_response_rmt": RMT,
}
ONE_COLUMN: st.SearchStrategy[Any] = st.one_of(
    [
        st.fixed_dictionaries({table: st.fixed_dictionaries({column: tests})})
        for table, columns in TABLES.items()
        for column, tests in columns.items()
    ]
)
LEAVES = ONE_COLUMN | st.fixed_dictionaries(
    {}, optional={table: st.fixed_dictionaries({}, optional=columns) for table, columns in TABLES.items()}
)
TREES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(ONE_COLUMN, ONE_COLUMN, LEAVES, st.just("all")),
    lambda inner: st.fixed_dictionaries(
        {"left": inner, "operator": st.sampled_from(["and", "or"]), "right": inner}
    ),
    max_leaves=5,
)


@pytest.fixture
async def rows(served: Served) -> list[Any]:
    """What was logged, as it is answered."""
    await fill(served)
    found: list[Any] = await served.query("all", limit=1000)
    assert len(found) == ROWS
    return found


@settings(
    max_examples=400,
    deadline=None,
    # The rows are logged once and never changed.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(tree=TREES, key=st.sampled_from(["all", "north", "south"]))
async def test_a_filter_finds_what_a_plain_reading_of_it_finds(
    served: Served, rows: list[Any], tree: Any, key: str
) -> None:
    visible = [row for row in rows if key == "all" or row["request_id"].startswith(key)]

    found = await served.ids(tree, key, limit=1000)

    assert sorted(found) == sorted(row["request_id"] for row in visible if passes(row, tree))


SORTED_BY = {
    "created_at": "request_created_at",
    "latency": "delay_ms",
    "total_tokens": "total_tokens",
    "completion_tokens": "completion_tokens",
    "prompt_tokens": "prompt_tokens",
    "user_id": "request_user_id",
    "body_model": "model",
    "cost_usd": "costUSD",
    "time_to_first_token": "time_to_first_token",
}


async def test_rows_come_in_the_order_asked_for_and_page_by_page(served: Served, rows: list[Any]) -> None:
    for column, field in SORTED_BY.items():
        for direction in ("asc", "desc"):

            def rank(row: Any, field: str = field) -> tuple[bool, Any]:
                return row[field] is not None, row[field] if row[field] is not None else 0

            order = {column: direction}
            pages = [await served.query(sort=order, offset=offset, limit=20) for offset in (0, 20, 40, 60)]
            found = [row for page in pages for row in page]
            assert [rank(row) for row in found] == sorted(map(rank, rows), reverse=direction == "desc")
            assert sorted(row["request_id"] for row in found) == sorted(row["request_id"] for row in rows)


async def test_rows_come_in_the_order_of_a_property_or_in_none(served: Served, rows: list[Any]) -> None:
    found = await served.query(sort={"properties": {"plan": "desc"}}, limit=1000)
    plans = [row["properties"].get("plan") for row in found]
    given = sorted((plan for plan in plans if plan is not None), reverse=True)
    assert plans == given + [None] * (ROWS - len(given))

    orders = [await served.ids(sort={"random": True}, limit=1000) for _ in range(3)]
    assert [sorted(ids) for ids in orders] == [sorted(row["request_id"] for row in rows)] * 3
    assert len({tuple(ids) for ids in orders}) > 1


async def test_scored_requests_can_be_asked_for_and_left_out(served: Served, rows: list[Any]) -> None:
    scored = {row["request_id"] for row in rows if row["scores"]}

    assert set(await served.ids(isScored=True, limit=1000)) == scored
    assert set(await served.ids(isScored=False, limit=1000)) == {row["request_id"] for row in rows} - scored
    assert set(await served.ids(isScored=True, key="north", limit=1000)) == {
        request_id for request_id in scored if request_id.startswith("north")
    }
