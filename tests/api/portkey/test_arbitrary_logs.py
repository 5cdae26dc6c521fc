"""Whatever is sent to the paths of logs, the answer is never a 5xx, and what is taken is kept as sent."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.api.portkey.filters import ExportFilters
from gateway.models.filters import Comparison, Op, Page

from .logs_served import CHAT, OLDEST_FIRST, LogsServed
from .served import complaint
from .test_arbitrary_bodies import JSON, OBJECTS, exactly, lasting

BODIES = OBJECTS | st.lists(JSON, max_size=3) | st.text(st.characters(codec="utf-8"), max_size=8) | st.none()
HEADERS = st.dictionaries(st.text("aZ-", min_size=1, max_size=6), st.text("aü \t;", max_size=6), max_size=3)
GOOD_LOGS = st.fixed_dictionaries(
    {
        "request": st.fixed_dictionaries(
            {"url": st.just(CHAT), "body": BODIES}, optional={"headers": HEADERS}
        ),
        "response": st.fixed_dictionaries(
            {"body": BODIES},
            optional={
                "headers": HEADERS,
                "status": st.integers(100, 599),
                "response_time": st.floats(0, 1e6),
            },
        ),
    },
    optional={"metadata": OBJECTS},
)
PARTS = st.dictionaries(
    st.sampled_from(["url", "body", "headers", "method", "provider", "status"]), JSON, max_size=4
)
LOGS = GOOD_LOGS | st.fixed_dictionaries({}, optional={"request": PARTS, "response": PARTS, "metadata": JSON})

FILTERS = st.dictionaries(st.sampled_from([*ExportFilters.model_fields, "other"]), JSON, max_size=3)


@lasting
@given(body=LOGS | st.lists(LOGS, max_size=3) | JSON)
async def test_what_is_taken_is_kept_exactly_and_what_is_not_is_a_4xx(logs: LogsServed, body: object) -> None:
    reply = await logs.insert(body)
    if reply.status_code != 200:
        assert reply.status_code == 400
        assert ": " in complaint(reply)
        return
    sent = body if isinstance(body, list) else [body]
    for log_id, log in zip(reply.json()["log_ids"], sent, strict=True):
        where = Comparison("request_id", Op.EQ, log_id)
        [row] = await logs.store.find_requests(where, OLDEST_FIRST, Page(1), None)
        payload = await logs.store.payload(row.seq)
        assert payload is not None
        for part, kept in (("request", payload.request_body), ("response", payload.response_body)):
            given = log[part]["body"]
            if isinstance(given, str) or given is None:
                assert kept.decode() == (given or "")
            else:
                assert exactly(json.loads(kept)) == exactly(given)


@lasting
@given(filters=FILTERS | JSON, columns=st.just(["id"]) | JSON)
async def test_an_export_is_made_of_what_means_something_and_all_else_is_a_4xx(
    logs: LogsServed, filters: object, columns: object
) -> None:
    reply = await logs.create({"filters": filters, "requested_data": columns})
    if reply.status_code != 200:
        assert reply.status_code == 400
        assert ": " in complaint(reply)
        return
    shown = (await logs.client.get(f"/logs/exports/{reply.json()['id']}")).json()
    assert exactly(shown["filters"]) == exactly(filters)
