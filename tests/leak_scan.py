"""Secrets that are known by sight, looked for in every file and in what is packed inside of them."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from gateway.store.body_codecs import unpack_body
from tests.gateway_process import RunningGateway
from tests.log_reader import query

CREDENTIALS = [
    b"Cookie: session=canary-1",
    b"Authorization: Bearer canary-2",
    b"x-api-key: canary-3",
    b"api-key: canary-4",
    b"Proxy-Authorization: Basic canary-5",
    b"X-Amz-Security-Token: canary-6",
    b"x-goog-api-key: canary-7",
    b"X-Odd: Bearer canary-8",
    b"x-portkey-virtual-key: canary-9",
]
"""Fields of a request that hold a secret each."""

_LEAST_BYTES = 16
"""In base64 shorter ones could be found by chance."""

_BODIES = "SELECT seq, request_codec, request_body, response_codec, response_body FROM payloads"


def written_files(gateway: RunningGateway) -> dict[str, bytes]:
    """Everything that a gateway has written, by the file's name; without the configuration, which it only reads."""
    files = (file for file in gateway.folder.rglob("*") if file.is_file() and file != gateway.config_file)
    return {str(file.relative_to(gateway.folder)): file.read_bytes() for file in files}


def unpacked_bodies(gateway: RunningGateway) -> dict[str, bytes]:
    """The bodies in its database, which are packed there, by the request that they are of."""
    return {
        f"bodies of row {seq}": unpack_body(request_codec, request) + unpack_body(response_codec, response)
        for seq, request_codec, request, response_codec, response in query(gateway.database, _BODIES)
    }


def find_leaks(secrets: Iterable[str], places: dict[str, bytes]) -> list[tuple[str, str]]:
    """Which secret is found in which place, in any spelling."""
    return [
        (secret, place)
        for secret in secrets
        for place, content in places.items()
        if any(spelling in content for spelling in _spellings(secret))
    ]


def _spellings(secret: str) -> Iterator[bytes]:
    raw = secret.encode()
    yield raw
    yield quote(secret, safe="").encode()
    yield raw.hex().encode()
    if len(raw) < _LEAST_BYTES:
        return
    # What stands around it changes how the first and the last letters come out.
    for shift in range(3):
        yield base64.b64encode(b" " * shift + raw)[4:-4]
        yield base64.urlsafe_b64encode(b" " * shift + raw)[4:-4]
