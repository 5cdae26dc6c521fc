"""The native face over a store, as it is joined together for tests."""

from __future__ import annotations

from gateway.api.native.routes import native_api
from gateway.api.native.tail import render_row
from gateway.auth.api_keys import ApiKeys
from gateway.auth.quotas import Quotas
from gateway.feedback.payloads import signed_scale, thumb_scale
from gateway.feedback.service import FeedbackService
from gateway.query.readers import Readers
from gateway.query.receipt import ReceiptReader
from gateway.query.tail import RequestTail
from gateway.reviews.agreement import AgreementReader
from gateway.reviews.queue import ReviewQueue
from gateway.store.base import Store
from gateway.web.endpoint import Api
from gateway.wire.pricing import ConfiguredPrice, PriceTable
from tests.api.api_server import MIB

PRICES = {"priced": ConfiguredPrice(0.15, 0.6, cached=0.075)}


def face_over(
    store: Store,
    feedback: FeedbackService | None = None,
    keys: ApiKeys | None = None,
    tail: RequestTail | None = None,
) -> Api:
    """Return the face, with nothing waiting outside the store."""
    receipts = ReceiptReader(PriceTable(PRICES), lambda _: None)
    return native_api(
        Readers.over(store, receipts, 30.0, lambda: False),
        feedback or FeedbackService(store),
        tail or RequestTail(store, render_row),
        keys or ApiKeys({}, store),
        Quotas(store),
        lambda principal: thumb_scale if principal.name == "thumbs" else signed_scale,
        MIB,
        ReviewQueue(store),
        AgreementReader(store),
    )
