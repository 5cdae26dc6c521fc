"""Errors that repeat what they were sent: the credential in them is kept no more than the one in the request.

"Incorrect API key provided: sk-…" is what some providers answer to a wrong key. The caller gets that as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.exchange import RawHeaders
from gateway.wire.content import decode

_LEAST_BYTES = 8
"""Shorter ones are words that happen to be there."""

_MAX_PACKED_BYTES = 64 * 1024
_MAX_UNPACKED_BYTES = 1024 * 1024
"""How much of an error is unpacked to be looked into, since callers wait for that."""


def without_echoes(sent: Sequence[bytes], headers: RawHeaders, body: bytes) -> tuple[RawHeaders, bytes]:
    """Return the head and body of an error without the credentials it was sent, each as many asterisks.

    Args:
        sent: the credentials that the provider was sent, with or without a scheme.
    """
    credentials = [bare for value in sent if len(bare := _bare(value)) >= _LEAST_BYTES]
    if not credentials:
        return headers, body
    headers = tuple((name, _masked(value, credentials)) for name, value in headers)
    if (masked := _masked(body, credentials)) != body or len(body) > _MAX_PACKED_BYTES:
        return headers, masked
    unpacked = decode(body, headers, _MAX_UNPACKED_BYTES).data
    masked = _masked(unpacked, credentials)
    if masked == unpacked:
        return headers, body
    return tuple(field for field in headers if field[0].lower() != b"content-encoding"), masked


def _bare(value: bytes) -> bytes:
    """A credential without the scheme before it."""
    return value.rpartition(b" ")[2]


def _masked(text: bytes, credentials: list[bytes]) -> bytes:
    for credential in credentials:
        text = text.replace(credential, b"*" * len(credential))
    return text
