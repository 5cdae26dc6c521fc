"""The native face over a store, as it is joined together for tests."""

from __future__ import annotations

from gateway.access.allowances import Allowances
from gateway.access.keys import KeyRing
from gateway.api.native import native_face
from gateway.erasing import Eraser
from gateway.feedback import FeedbackCore, signed, thumbs
from gateway.query import (
    AuditReader,
    Ranking,
    RequestReader,
    SessionReader,
    TextReader,
    TraceReader,
    UserReader,
)
from gateway.store.base import Store
from gateway.web.face import Face
from tests.api.serving import MIB


def face_over(store: Store, feedback: FeedbackCore | None = None, keys: KeyRing | None = None) -> Face:
    """Return the face, with nothing waiting outside the store."""
    return native_face(
        requests=RequestReader(store),
        traces=TraceReader(store),
        sessions=SessionReader(store),
        users=UserReader(store),
        ranking=Ranking(store),
        feedback=feedback or FeedbackCore(store),
        texts=TextReader(store),
        eraser=Eraser(store, lambda: False),
        audit=AuditReader(store),
        keys=keys or KeyRing({}, store),
        allowances=Allowances(store),
        scale_of=lambda principal: thumbs if principal.name == "thumbs" else signed,
        max_body_bytes=MIB,
    )
