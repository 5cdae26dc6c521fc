"""What is said in words beside a value, and what the reply says in words."""

from __future__ import annotations

import pytest

from gateway.models.feedback import Kind
from tests.feedback.samples import exchange

from .served import GOOD, Served, complaint


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"comment": "Too long"}, "Too long"),
        ({"metadata": {"comment": "Too long"}}, "Too long"),
        ({"metadata": '{"comment": "Too long"}'}, "Too long"),
        ({"comment": "Too long", "metadata": {"comment": "Too short"}}, "Too long"),
        ({"comment": None, "metadata": {"comment": ["no text"], "text": "title"}}, None),
        ({"comment": ""}, None),
    ],
)
async def test_a_comment_is_taken_beside_the_value_or_in_the_metadata(
    served: Served, sent: dict[str, object], kept: str | None
) -> None:
    entry = await served.give(GOOD | sent)

    assert (entry.kind, entry.value, entry.comment) == (Kind.RATING, 5, kept)


async def test_a_comment_that_is_no_text_is_refused(served: Served) -> None:
    reply = await served.post(GOOD | {"comment": {"text": "no"}})

    assert reply.status_code == 400
    assert complaint(reply) == "comment: must be a string without the character U+0000; got an object."


async def test_a_put_changes_the_comment_or_leaves_it(served: Served) -> None:
    entry = await served.give(GOOD | {"comment": "Too long"})
    changes: list[dict[str, object]] = [
        {"value": 1}, {"comment": "Fine"}, {"metadata": {"comment": "Better"}}, {"metadata": {}},
    ]  # fmt: skip
    for change in changes:
        assert (await served.put(entry.feedback_id, change)).status_code == 200

    comments = [version.comment for version in await served.store.history(entry.feedback_id)]
    assert comments == ["Too long", "Too long", "Fine", "Better", "Better"]


async def test_the_message_names_the_ids_that_nothing_is_logged_under(served: Served) -> None:
    await served.store.append([exchange("request-1", "trace-1")])
    reply = await served.post([GOOD, GOOD | {"trace_id": "typo"}, GOOD | {"trace_id": "request-1"}])
    assert reply.headers["x-gateway-feedback-joined"] == "2 of 3"
    assert reply.json()["message"] == (
        "Feedback successfully saved. Nothing is logged yet under 'typo', so this feedback waits for it."
    )
    assert (await served.post()).json()["message"] == "Feedback successfully saved"
