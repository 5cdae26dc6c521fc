from __future__ import annotations

import gzip

import pytest

from gateway.models.exchange import Identity, Outcome, PayloadPolicy
from gateway.recording.capture import Capture
from gateway.recording.redaction import mask_echoed_credentials, request_secrets

KEY = b"sk-a-key-of-some-length"
SENT = (b"Bearer " + KEY, b"short")
ERROR = b'{"error": {"message": "Incorrect API key provided: %b"}}'


@pytest.mark.parametrize("sent", [KEY, b"Bearer " + KEY, b"Token " + KEY])
def test_a_credential_that_comes_back_is_masked_byte_for_byte(sent: bytes) -> None:
    headers, body = mask_echoed_credentials((sent,), ((b"X-Seen", b"key " + KEY),), ERROR % KEY)
    assert headers == ((b"X-Seen", b"key " + b"*" * len(KEY)),)
    assert body == ERROR % (b"*" * len(KEY))


def test_a_packed_error_is_kept_unpacked_if_there_is_one_in_it() -> None:
    packed, head = gzip.compress(ERROR % KEY), ((b"Content-Encoding", b"gzip"), (b"A", b"1"))
    assert mask_echoed_credentials(SENT, head, packed) == (((b"A", b"1"),), ERROR % (b"*" * len(KEY)))
    harmless = gzip.compress(ERROR % b"none")
    assert mask_echoed_credentials(SENT, head, harmless) == (head, harmless)


@pytest.mark.parametrize("sent", [(), (b"Bearer key",)])
def test_what_is_no_credential_or_a_mere_word_stays(sent: tuple[bytes, ...]) -> None:
    assert mask_echoed_credentials(sent, (), ERROR % KEY) == ((), ERROR % KEY)


@pytest.mark.parametrize(
    ("path", "header"),
    [
        (f"/v1/x?a=1&key={KEY.decode()}", (b"A", b"1")),
        (f"/v1/x?access_token={KEY.decode()}&b", (b"A", b"1")),
        (f"/v1/x?api_key={KEY.decode().replace('-', '%2d')}", (b"A", b"1")),
        ("/v1/x", (b"Cookie", b"lang=en; session=" + KEY)),
        ("/v1/x", (b"Referer", b"https://app.example.com/?key=" + KEY)),
        ("/v1/x", (b"X-Amz-Security-Token", KEY)),
    ],
)
def test_whatever_opens_something_in_a_request_is_masked_where_an_error_repeats_it(
    path: str, header: tuple[bytes, bytes]
) -> None:
    sent = list(request_secrets(path, (header,)))
    assert mask_echoed_credentials(sent, (), ERROR % KEY) == ((), ERROR % (b"*" * len(KEY)))
    assert KEY not in mask_echoed_credentials(sent, (), path.encode() + header[1])[1]


@pytest.mark.parametrize(("status", "is_masked"), [(401, True), (500, True), (200, False)])
def test_answers_are_kept_as_they_are_and_errors_without_echoes(status: int, is_masked: bool) -> None:
    capture = Capture(
        identity=Identity("r", "t"),
        tenant=None,
        key_name=None,
        provider="up",
        endpoint="other",
        method="GET",
        path="/v1/x",
        payloads=PayloadPolicy.FULL,
        limit_bytes=1000,
        request_headers=(),
        sent_credentials=SENT,
    )
    capture.add_response_head(status, ())
    capture.response_body.add(ERROR % KEY)
    exchange = capture.close(Outcome.COMPLETE)
    assert (KEY not in exchange.response_body) == is_masked
    assert len(exchange.response_body) == exchange.response_size
