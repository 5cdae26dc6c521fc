"""What a caller wants kept out of the log."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.domain.exchange import NOTHING_OMITTED, Omission
from gateway.errors import BadInput
from gateway.proxy.headers import RequestHead

_FLAGS = {b"true": True, b"false": False}


def read_omission(head: RequestHead) -> Omission:
    """Return what `Helicone-Omit-Request` and `Helicone-Omit-Response` ask for.

    Raises:
        BadInput: one of them is neither `true` nor `false`; to store what may not have been meant to be stored
            would be worse.
    """
    request = _is_set(head.ours, b"helicone-omit-request")
    response = _is_set(head.ours, b"helicone-omit-response")
    return Omission(request, response) if request or response else NOTHING_OMITTED


def _is_set(ours: Mapping[bytes, bytes], name: bytes) -> bool:
    raw = ours.get(name)
    if raw is None:
        return False
    try:
        return _FLAGS[raw.lower()]
    except KeyError:
        raise BadInput("must be true or false.", field=name.decode()) from None
