"""What exports read: positions of matching rows, and all feedback on a request, on both engines."""

from __future__ import annotations

from gateway.models.feedback import Target
from gateway.models.filters import NO_FILTER, Comparison, Op
from gateway.models.request import Facts
from gateway.store.base import Store
from tests.store.samples import exchange, feedback


async def test_feedback_of_requests_has_what_was_said_of_them_their_trace_and_session(store: Store) -> None:
    session = {"_session": "s"}
    seqs = await store.append(
        [
            exchange("a", "t", metadata=session),
            exchange("b", "t", metadata=session),
            exchange("c", "u", metadata=session),
            exchange("d", "v"),
        ]
    )
    await store.put_feedback(
        [
            feedback("direct", "a", target=Target.REQUEST),
            feedback("trace", "t"),
            feedback("session", "s", target=Target.SESSION),
            feedback("withdrawn", "t", deleted_at_us=1),
        ]
    )
    found = await store.feedback_of(seqs, in_background=True)
    ids = {seq: [entry.feedback_id for entry, _ in entries] for seq, entries in found.items()}
    a, b, c, _ = seqs
    assert ids == {a: ["direct", "trace", "session"], b: ["trace", "session"], c: ["session"]}
    counted = {(entry.feedback_id, seq) for seq in found for entry, is_counted in found[seq] if is_counted}
    assert {feedback_id for feedback_id, _ in counted} == {"direct", "trace", "session"}
    # An entry counts for one request, however many it is about.
    assert len(counted) == 3
    assert ("direct", a) in counted


async def test_positions_follow_each_other_and_are_of_one_tenant(store: Store) -> None:
    seqs = await store.append([exchange(str(n), tenant="ab"[n % 2]) for n in range(6)])
    await store.annotate([(seq, Facts(model="m" if seq != seqs[4] else "n")) for seq in seqs], 1)
    assert await store.request_seqs(NO_FILTER, 0, 2, "a", in_background=True) == [seqs[0], seqs[2]]
    assert await store.request_seqs(NO_FILTER, seqs[0], 9, "a") == [seqs[2], seqs[4]]
    of_model = Comparison("model", Op.EQ, "m")
    assert await store.request_seqs(of_model, seqs[0], 9, None) == [seqs[1], seqs[2], seqs[3], seqs[5]]
