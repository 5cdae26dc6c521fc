"""Errors that repeat what they were sent: the secrets in them are kept no more than those in the request.

"Incorrect API key provided: sk-…" is what some providers answer to a wrong key. The caller gets that as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import unquote_to_bytes

from gateway.domain.credentials import is_secret_header, is_secret_parameter
from gateway.domain.exchange import RawHeaders
from gateway.wire.content import decode

_LEAST_BYTES = 8
"""Shorter ones are words that happen to be there."""

_MAX_PACKED_BYTES = 64 * 1024
_MAX_UNPACKED_BYTES = 1024 * 1024
"""How much of an error is unpacked to be looked into, since callers wait for that."""


def secrets_of_request(path: str, headers: RawHeaders) -> Iterator[bytes]:
    """Return the values in a request that open something: of its query, its header fields, each of its cookies, and
    the query of the page that it came from."""
    yield from _secrets_in_query(path.encode("utf-8", "surrogateescape"))
    for name, value in headers:
        if name.lower() == b"cookie":
            yield from (pair.partition(b"=")[2] for pair in value.split(b";"))
        elif is_secret_header(name):
            yield value
        elif name.lower() == b"referer":
            yield from _secrets_in_query(value)


def without_echoes(sent: Iterable[bytes], headers: RawHeaders, body: bytes) -> tuple[RawHeaders, bytes]:
    """Return the head and body of an error without the secrets it was sent, each as many asterisks.

    Args:
        sent: the secrets that the provider was sent, with or without a scheme.
    """
    found = {bare for value in sent if len(bare := _bare(value)) >= _LEAST_BYTES}
    if not found:
        return headers, body
    # One may hold another.
    secrets = sorted(found, key=len, reverse=True)
    headers = tuple((name, _masked(value, secrets)) for name, value in headers)
    if (masked := _masked(body, secrets)) != body or len(body) > _MAX_PACKED_BYTES:
        return headers, masked
    unpacked = decode(body, headers, _MAX_UNPACKED_BYTES).data
    masked = _masked(unpacked, secrets)
    if masked == unpacked:
        return headers, body
    return tuple(field for field in headers if field[0].lower() != b"content-encoding"), masked


def _secrets_in_query(url: bytes) -> Iterator[bytes]:
    for parameter in url.partition(b"?")[2].split(b"&"):
        name, _, value = parameter.partition(b"=")
        if is_secret_parameter(name.decode("latin-1")):
            # What repeats the whole URL has it as it was written, what repeats the key has it decoded.
            yield value
            yield unquote_to_bytes(value)


def _bare(value: bytes) -> bytes:
    """A credential without the scheme before it."""
    return value.rpartition(b" ")[2]


def _masked(text: bytes, secrets: list[bytes]) -> bytes:
    for secret in secrets:
        text = text.replace(secret, b"*" * len(secret))
    return text
