"""What an id names, as every store must tell it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import Ambiguous
from gateway.models.exchange import Outcome
from gateway.models.feedback import MAX_CANDIDATES, Subject, Target
from gateway.models.request import Facts
from gateway.store.base import Store
from tests.store.samples import entry, exchange, feedback, request_of

Named = list[tuple[str | None, str | None, str | None]]


async def named(
    store: Store,
    name: str,
    tenant: str | None = None,
    target: Target = Target.TRACE,
    trace_id: str | None = None,
) -> Named:
    """Tenant, trace id and request id of all that an id names."""
    subjects = (await store.resolve([name], tenant, target, trace_id)).get(name, [])
    return [(subject.tenant, subject.trace_id, subject.request_id) for subject in subjects]


async def test_an_id_resolves_to_a_trace_before_a_request_before_a_response(store: Store) -> None:
    [seq] = await store.append([exchange("r1", "t1")])
    await store.annotate([(seq, Facts(response_id="x"))], at_us=5)
    assert await named(store, "x") == [(None, "t1", "r1")]
    await store.append([exchange("x", "t2")])
    assert await named(store, "x") == [(None, "t2", "x")]
    await store.append([exchange("r3", "x")])
    assert await named(store, "x") == [(None, "x", None)]


async def test_only_ids_that_are_known_are_told(store: Store) -> None:
    [seq] = await store.append([exchange("r1", "t1")])
    await store.annotate([(seq, Facts(response_id="chatcmpl-1"))], at_us=5)
    resolved = await store.resolve(["nobody", "r1", "t1"], None)
    assert resolved == {
        "r1": [Subject(None, "t1", "r1", "chatcmpl-1", seq)],
        "t1": [Subject(None, "t1", None, None, seq)],
    }


async def test_about_a_request_an_id_names_no_trace(store: Store) -> None:
    [seq, _] = await store.append([exchange("r1", "t1"), exchange("r2", "x")])
    assert await named(store, "x", target=Target.REQUEST) == []
    await store.annotate([(seq, Facts(response_id="x"))], at_us=5)
    assert await named(store, "x", target=Target.REQUEST) == [(None, "t1", "r1")]
    await store.append([exchange("x", "t2", tenant="north")])
    assert await named(store, "x", target=Target.REQUEST) == [("north", "t2", "x")]
    assert await named(store, "x") == [(None, "x", None)]


async def test_within_a_kind_all_that_an_id_names_comes_newest_first_and_each_tenant_sees_its_own(
    store: Store,
) -> None:
    await store.append([exchange("r", "t1"), exchange("r", "t2", tenant="north"), exchange("r", "t1")])
    assert await named(store, "r") == [(None, "t1", "r"), ("north", "t2", "r")]
    assert await named(store, "r", "north") == [("north", "t2", "r")]
    assert await named(store, "r", "south") == []
    await store.append([exchange("r4", "t2", tenant="south")])
    assert await named(store, "t2") == [("south", "t2", None), ("north", "t2", None)]


async def test_a_request_tried_again_in_its_trace_is_one_with_its_latest_row(store: Store) -> None:
    seqs = await store.append([exchange("r", "t"), exchange("r", "t"), exchange("other", "t")])
    await store.annotate([(seq, Facts(response_id=f"chatcmpl-{seq}")) for seq in seqs], at_us=5)
    resolved = await store.resolve(["r"], None)
    assert resolved == {"r": [Subject(None, "t", "r", f"chatcmpl-{seqs[1]}", seqs[1])]}
    assert await named(store, f"chatcmpl-{seqs[0]}") == [(None, "t", "r")]


async def test_a_response_id_given_to_several_requests_names_them_all(store: Store) -> None:
    seqs = await store.append([exchange("r1", "t"), exchange("r2", "t"), exchange("r3", "t3")])
    await store.annotate([(seq, Facts(response_id="x")) for seq in seqs], at_us=5)
    assert await named(store, "x") == [(None, "t3", "r3"), (None, "t", "r2"), (None, "t", "r1")]


@pytest.mark.parametrize(
    "failure",
    [
        {"status": 500},
        {"status": 429},
        {"status": 200, "outcome": Outcome.UPSTREAM_TRUNCATED},
        {"status": None, "outcome": Outcome.CLIENT_CLOSED},
    ],
    ids=["500", "429", "cut", "left"],
)
async def test_what_failed_does_not_share_the_name_of_what_was_answered(
    store: Store, failure: dict[str, Any]
) -> None:
    await store.append([exchange("r", "t1", **failure), exchange("r", "t2", **failure)])
    assert await named(store, "r") == [(None, "t2", "r"), (None, "t1", "r")]
    await store.append([exchange("r", "t3")])
    assert await named(store, "r") == [(None, "t3", "r")]
    await store.append([exchange("r", "t4", **failure)])
    assert await named(store, "r") == [(None, "t3", "r")]


async def test_the_trace_tells_apart_what_shares_an_id(store: Store) -> None:
    await store.append([exchange("r", "t1"), exchange("r", "t2", status=500), exchange("r", "t3")])
    assert await named(store, "r", trace_id="t1") == [(None, "t1", "r")]
    assert await named(store, "r", trace_id="t2") == [(None, "t2", "r")]
    assert await named(store, "r", trace_id="t4") == []


async def test_of_very_many_that_share_an_id_the_newest_are_told(store: Store) -> None:
    await store.append([exchange("r", f"t{number}") for number in range(50)])
    expected: Named = [(None, f"t{number}", "r") for number in range(49, 49 - MAX_CANDIDATES, -1)]
    assert await named(store, "r") == expected


async def test_feedback_that_waited_is_joined_to_the_newest_of_all_that_its_id_names(store: Store) -> None:
    await store.put_feedback([feedback(subject_id="r")])
    await store.append([exchange("r", "t1"), exchange("r", "t2"), exchange("r", "t3", status=500)])
    assert (await entry(store)).trace_id == "t2"


async def test_a_property_is_set_on_no_row_of_an_id_that_several_requests_share(store: Store) -> None:
    seqs = await store.append([exchange("r", "t1"), exchange("r", "t2")])
    with pytest.raises(Ambiguous, match="several requests"):
        await store.set_property("r", "k", "v", None)
    assert [(await request_of(store, seq)).metadata for seq in seqs] == [{}, {}]


async def test_a_property_is_set_on_every_try_of_the_request_and_no_other_of_its_id(store: Store) -> None:
    seqs = await store.append(
        [exchange("r", "t1", status=500), exchange("r", "t2", status=500), exchange("r", "t2")]
    )
    assert await store.set_property("r", "k", "v", None) == 2
    assert [(await request_of(store, seq)).metadata for seq in seqs] == [{}, {"k": "v"}, {"k": "v"}]
