"""The native face over a store, as it is joined together for tests."""

from __future__ import annotations

from gateway.api.native.routes import native_api
from gateway.auth.api_keys import ApiKeys
from gateway.auth.quotas import Quotas
from gateway.feedback.payloads import signed_scale, thumb_scale
from gateway.feedback.service import FeedbackService
from gateway.query.audit import AuditReader
from gateway.query.erasure import ErasureService
from gateway.query.feedback import FeedbackReader
from gateway.query.groups import SessionReader, TraceReader
from gateway.query.metrics import MetricsReader
from gateway.query.requests import RequestReader, TextReader
from gateway.query.users import UserReader
from gateway.reviews.agreement import AgreementReader
from gateway.reviews.queue import ReviewQueue
from gateway.store.base import Store
from gateway.web.endpoint import Api
from tests.api.api_server import MIB


def face_over(store: Store, feedback: FeedbackService | None = None, keys: ApiKeys | None = None) -> Api:
    """Return the face, with nothing waiting outside the store."""
    return native_api(
        requests=RequestReader(store),
        traces=TraceReader(store),
        sessions=SessionReader(store),
        users=UserReader(store),
        metrics=MetricsReader(store),
        feedback=feedback or FeedbackService(store),
        search=FeedbackReader(store),
        texts=TextReader(store),
        reviews=ReviewQueue(store),
        agreement=AgreementReader(store),
        eraser=ErasureService(store, lambda: False),
        audit=AuditReader(store),
        keys=keys or ApiKeys(lambda: {}, store),
        quotas=Quotas(store),
        scale_of=lambda principal: thumb_scale if principal.name == "thumbs" else signed_scale,
        max_body_bytes=MIB,
    )
