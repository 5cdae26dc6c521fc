"""Any filter and any order, over the values of the requests in `filling.py`."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from .reference import SORTED_BY
from .samples import KEYS, LONG, MODELS, QUESTION, SCORES, USERS


def conditions(operators: list[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """One to three operators that must all hold."""
    return st.dictionaries(st.sampled_from(operators), values, min_size=1, max_size=3)


def merged(leaves: list[dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Leaves as one: their tables with their columns."""
    whole: dict[str, dict[str, Any]] = {}
    for leaf in leaves:
        for table, columns in leaf.items():
            whole[table] = {**whole.get(table, {}), **columns}
    return whole


EQUALITY = ["equals", "not-equals"]
TEXT_OPERATORS = [*EQUALITY, "like", "ilike", "contains", "not-contains"]
NUMBER_OPERATORS = [*EQUALITY, "gte", "lte", "gt", "lt"]

TEXTS = st.sampled_from(
    [*filter(None, USERS), *filter(None, MODELS), "pro", "5", "0.5", "true", "", "%", "a_b", "PRO"]
)
TEXT = st.one_of(
    conditions(TEXT_OPERATORS, TEXTS | st.text("aAn%_é[*", max_size=3)),
    conditions(EQUALITY, st.none() | TEXTS),
)
BODY_TEXTS = st.sampled_from(
    [
        QUESTION,
        LONG,
        "Ann",
        "refund",
        "REFUND%",
        "%refund%",
        "%é!%",
        "data:%",
        '{"_%',
        "ANN_",
        "cut: ",
        "",
        "%",
    ]
)
BODY = conditions(TEXT_OPERATORS, BODY_TEXTS) | conditions(EQUALITY, st.none() | BODY_TEXTS)
NUMBERS = st.sampled_from([-2, -1, 0, 0.5, 1, 7, 12, 14, 100, 200, 250, 404, 7000])
NUMBER = conditions(NUMBER_OPERATORS, NUMBERS) | conditions(EQUALITY, st.none())
COST = conditions(NUMBER_OPERATORS, st.sampled_from([0, 1e-9, 0.00125, 0.1, 3, 0.3, 1e-10]))
TIME = conditions(
    ["equals", "gte", "lte", "gt", "lt"],
    st.sampled_from(
        ["2023-11-14T22:13:20Z", "2023-11-14T22:13:20.500Z", "2023-11-14 22:13:21", "2023-11-14T23:13:21+01:00",
         "2023-11-14T22:13:20.100000Z", "2100-01-01"]
    ),
)  # fmt: skip
FLAG = st.fixed_dictionaries({"equals": st.none() | st.booleans()})
PROVIDER = conditions(
    TEXT_OPERATORS, st.sampled_from(["OPENAI", "CUSTOM", "openai", "GROQ", "%O%", "%o%", "AI", "x", ""])
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
    "prompt_id": TEXT,
    "prompt_tokens": NUMBER,
    "completion_tokens": NUMBER,
    "total_tokens": NUMBER,
    "prompt_cache_read_tokens": NUMBER,
    "prompt_cache_write_tokens": NUMBER,
    "time_to_first_token": NUMBER,
    "provider": PROVIDER,
    "cost": COST,
    "cached": FLAG,
    "request_body": BODY,
    "response_body": BODY,
    "helicone-score-feedback": FLAG,
    "property_key": PROPERTY_KEY,
    "scores_column": SCORE_NAME,
    "properties": st.dictionaries(st.sampled_from(KEYS), TEXT, max_size=2),
    "search_properties": st.dictionaries(st.sampled_from(KEYS), TEXT, max_size=2),
    "scores": st.dictionaries(st.sampled_from(SCORES), NUMBER, max_size=2),
}
TABLES: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "request": {
        "prompt": BODY,
        "created_at": TIME,
        "user_id": TEXT,
        "id": TEXT,
        "model": TEXT,
        "modelOverride": TEXT,
        "path": TEXT,
        "prompt_id": TEXT,
    },
    "response": {
        "body_tokens": NUMBER,
        "body_model": TEXT,
        "body_completion": BODY,
        "status": NUMBER,
        "model": TEXT,
    },
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
LEAVES = st.lists(ONE_COLUMN, max_size=3).map(merged)
TREES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(ONE_COLUMN, LEAVES, st.just("all")),
    lambda inner: st.fixed_dictionaries(
        {"left": inner, "operator": st.sampled_from(["and", "or"]), "right": inner}
    ),
    max_leaves=5,
)

DIRECTIONS = st.sampled_from(["asc", "desc"])
ORDERS: st.SearchStrategy[dict[str, Any]] = st.lists(
    st.tuples(st.sampled_from([*SORTED_BY]), DIRECTIONS)
    | st.tuples(st.just("properties"), st.dictionaries(st.sampled_from(KEYS), DIRECTIONS, min_size=1)),
    min_size=1,
    max_size=3,
).map(dict)
