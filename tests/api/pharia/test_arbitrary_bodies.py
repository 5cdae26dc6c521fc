"""Whatever is sent, the answer is never a 5xx, and what is taken comes back exactly as sent."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .served import GOOD, Served, details

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-6, 6),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXT,
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
KNOWN = ["rating", "thumbs_up", "thumbs_down", "type", "score", "value", "weight", "comment", "text"]
KNOWN += ["original_response", "user_edit", "content_edit", "edited_content"]
OBJECTS = st.dictionaries(TEXT | st.sampled_from(KNOWN), JSON, max_size=5)
UGLY = st.recursive(
    LEAVES | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
UGLY_BODIES = UGLY | st.fixed_dictionaries(
    {},
    optional={
        "trace_id": st.text(max_size=6) | UGLY,
        "feedback": OBJECTS | UGLY,
        "app_id": st.text(max_size=6) | UGLY,
        "app_version": UGLY,
        "user": UGLY,
        "metadata": OBJECTS | UGLY,
    },
)

lasting = settings(
    max_examples=120,
    deadline=None,
    # The store goes on from example to example; each looks only at the entry that it made.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def exactly(value: object) -> str:
    """A spelling in which 1, 1.0 and true differ."""
    return json.dumps(value, sort_keys=True)


@lasting
@given(feedback=OBJECTS)
async def test_any_object_comes_back_as_it_was_given(served: Served, feedback: dict[str, object]) -> None:
    entry = await served.show(await served.give(feedback))

    assert exactly(entry["feedback"]) == exactly(feedback)


@lasting
@given(before=OBJECTS, after=OBJECTS)
async def test_any_object_is_merged_field_by_field(
    served: Served, before: dict[str, object], after: dict[str, object]
) -> None:
    feedback_id = await served.give(before)

    await served.change(feedback_id, feedback=after)

    assert exactly((await served.show(feedback_id))["feedback"]) == exactly({**before, **after})


@lasting
@given(body=UGLY_BODIES)
async def test_any_body_is_taken_whole_or_refused_with_a_4xx(served: Served, body: object) -> None:
    reply = await served.call("POST", "", body)

    if reply.status_code != 200:
        assert reply.status_code == 422
        assert details(reply)[0][0][0] == "body"
        return
    assert exactly(json.loads((await served.stored(reply.json()["feedback_id"])).raw)) == exactly(body)


@lasting
@given(body=st.binary(max_size=64))
async def test_bytes_that_are_no_json_are_a_4xx(served: Served, body: bytes) -> None:
    assert (await served.call("POST", "", body)).status_code == 422


@lasting
@given(
    name=st.sampled_from(["trace_id", "app_id", "feedback_id", "start_time", "end_time", "limit", "x"]),
    value=st.text(max_size=20),
)
async def test_any_query_is_answered_or_refused_with_a_4xx(served: Served, name: str, value: str) -> None:
    encoded = value.encode("utf-8", "surrogatepass")
    escaped = "".join(f"%{byte:02X}" for byte in encoded)
    reply = await served.call("GET", f"?{name}={escaped}", by="admin")

    assert reply.status_code in (200, 422)


@lasting
@given(change=UGLY_BODIES)
async def test_any_change_is_a_version_or_a_4xx(served: Served, change: object) -> None:
    feedback_id = await served.give(GOOD["feedback"])

    reply = await served.call("PATCH", f"/{feedback_id}", change)

    assert reply.status_code in (200, 422)
    assert (await served.stored(feedback_id)).version == (2 if reply.status_code == 200 else 1)
