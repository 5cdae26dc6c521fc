"""How Portkey's face draws errors, those that come from elsewhere included."""

from __future__ import annotations

import json

import pytest

from gateway.api.portkey.feedback import portkey_feedback_api
from gateway.errors import (
    BadInput,
    Conflict,
    Forbidden,
    GatewayError,
    MethodNotAllowed,
    NotFound,
    StoreUnavailable,
    TooLarge,
    Unauthorized,
)
from gateway.feedback.payloads import signed_scale
from gateway.feedback.service import FeedbackService
from gateway.store.base import Store
from tests.feedback.samples import exchange

from .served import GOOD, Served, complaint

KINDS = {
    BadInput: 400,
    Unauthorized: 401,
    Forbidden: 403,
    NotFound: 404,
    MethodNotAllowed: 405,
    Conflict: 409,
    TooLarge: 413,
    GatewayError: 500,
    StoreUnavailable: 503,
}


@pytest.mark.parametrize(("kind", "status"), KINDS.items())
def test_every_error_has_portkeys_shape(store: Store, kind: type[GatewayError], status: int) -> None:
    api = portkey_feedback_api(FeedbackService(store), lambda _: signed_scale, 1024)

    drawn = api.render_error(kind("is wrong: \ud800.", field="value", hint="Mend it."))

    assert drawn.status == status
    assert isinstance(drawn.body, bytes)
    assert json.loads(drawn.body) == {"status": "failure", "message": "value: is wrong: ?. Mend it."}


async def test_a_store_that_cannot_write_is_said_to_be_unavailable_for_now(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise StoreUnavailable("the disk is full.")

    with monkeypatch.context() as patched:
        patched.setattr(served.store, "put_feedback", refuse)
        reply = await served.post()

    assert reply.status_code == 503
    assert complaint(reply) == "the disk is full."
    assert int(reply.headers["retry-after"]) > 0
    assert (await served.give()).value == 5


async def test_an_unexpected_error_says_nothing_of_the_inside(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("secret")

    with monkeypatch.context() as patched:
        patched.setattr(served.store, "put_feedback", fail)
        reply = await served.post(GOOD)

    assert reply.status_code == 500
    assert "secret" not in complaint(reply)
    assert "something went wrong in the gateway" in complaint(reply)
    assert (await served.give()).value == 5


async def test_an_ambiguous_id_names_its_place_in_the_array_and_the_candidates(served: Served) -> None:
    await served.store.append([exchange("twice", "trace-1"), exchange("twice", "trace-2")])

    alone = await served.post(GOOD | {"trace_id": "twice"})
    in_bulk = await served.post([GOOD, GOOD | {"trace_id": "twice"}])

    assert (alone.status_code, in_bulk.status_code) == (409, 409)
    assert complaint(alone).startswith("trace_id: 'twice' names several requests")
    assert complaint(in_bulk).startswith("[1].trace_id: 'twice' names several requests")
    assert "request 'twice' in trace 'trace-2'; request 'twice' in trace 'trace-1'." in complaint(in_bulk)
    assert await served.entries() == []
