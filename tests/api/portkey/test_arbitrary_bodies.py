"""Whatever is sent, the answer is never a 5xx, and what is taken is stored exactly as sent."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .served import Served, complaint

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-12, 12),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.characters(),
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(max_size=6), JSON, max_size=4)
TRACE_IDS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=20)


def votes(**fields: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    """Votes of which each field may be missing."""
    return st.fixed_dictionaries({}, optional=fields)


GOOD_VOTES = st.fixed_dictionaries(
    {"trace_id": TRACE_IDS, "value": st.integers(-10, 10) | st.integers(-10, 10).map(float)},
    optional={
        "weight": st.none() | st.floats(0, 1),
        "metadata": st.none() | OBJECTS | OBJECTS.map(json.dumps),
        "extra": JSON,
    },
)
MIXED_VOTES = votes(
    trace_id=TRACE_IDS | JSON, value=st.integers(-11, 11) | JSON, weight=st.floats(0, 1) | JSON, metadata=JSON
)
BODIES = st.one_of(
    GOOD_VOTES, st.lists(GOOD_VOTES, max_size=4), MIXED_VOTES, st.lists(MIXED_VOTES | JSON, max_size=3), JSON
)

lasting = settings(
    max_examples=150,
    deadline=None,
    # The store goes on from example to example; each looks only at the entries that it made.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def exactly(value: object) -> str:
    """A spelling in which 1, 1.0 and true differ."""
    return json.dumps(value, sort_keys=True)


@lasting
@given(body=BODIES)
async def test_what_is_taken_is_stored_exactly_and_what_is_not_is_a_4xx(served: Served, body: object) -> None:
    reply = await served.post(body)

    if reply.status_code != 200:
        assert reply.status_code == 400
        assert ": " in complaint(reply)
        return
    sent = body if isinstance(body, list) else [body]
    entries = await served.store.feedback_by_ids(reply.json()["feedback_ids"])
    assert exactly([json.loads(entry.raw) for entry in entries]) == exactly(sent)
    for entry, vote in zip(entries, sent, strict=True):
        metadata = vote.get("metadata")
        metadata = json.loads(metadata) if isinstance(metadata, str) else metadata
        weight = vote.get("weight")
        assert entry.subject_id == vote["trace_id"]
        assert entry.value == vote["value"]
        assert entry.weight == (1 if weight is None else weight)
        assert exactly(entry.metadata) == exactly(metadata or {})


@lasting
@given(body=MIXED_VOTES | JSON)
async def test_a_change_is_stored_exactly_or_is_a_4xx(served: Served, body: object) -> None:
    entry = await served.give()

    reply = await served.put(entry.feedback_id, body)

    history = await served.store.history(entry.feedback_id)
    if reply.status_code != 200:
        assert reply.status_code == 400
        assert ": " in complaint(reply)
        assert history == [entry]
        return
    assert len(history) == 2
    assert exactly(json.loads(history[1].raw)) == exactly(body)


@lasting
@given(body=st.binary(max_size=64))
async def test_bytes_that_are_no_json_are_a_4xx(served: Served, body: bytes) -> None:
    reply = await served.post(body)

    assert reply.status_code == 400
    assert ": " in complaint(reply)
