"""How bodies are kept: once, as text where the text is all there is to them, and as bytes where it is not."""

from __future__ import annotations

import zlib
from typing import Any

import psycopg
import pytest

from gateway.models.exchange import RawHeaders
from gateway.store import open_store
from tests.store.samples import exchange

TEXT = "a needle in tröges 😀, " * 50


def inflate(body: bytes, headers: RawHeaders) -> bytes:
    return zlib.decompress(body) if (b"content-encoding", b"deflate") in headers else body


@pytest.mark.parametrize(
    ("body", "encoding", "kept"),
    [
        (TEXT.encode(), b"identity", ("text", b"", TEXT)),
        (zlib.compress(TEXT.encode()), b"deflate", ("plain", zlib.compress(TEXT.encode()), TEXT)),
        (b"", b"identity", ("plain", b"", None)),
        (b"\xff\xfe", b"identity", ("plain", b"\xff\xfe", None)),
        (b"a\0b", b"identity", ("plain", b"a\0b", "a\ufffdb")),
        ("é".encode()[:1] + b"", b"identity", ("plain", b"\xc3", None)),
        ("aé".encode()[:2], b"identity", ("plain", b"a\xc3", "a")),
    ],
    ids=["text", "encoded", "empty", "binary", "nul", "half a character", "cut in a character"],
)
async def test_a_body_is_kept_once_and_comes_back_as_it_was(
    url: str, body: bytes, encoding: bytes, kept: tuple[str, bytes, str | None]
) -> None:
    store = await open_store(url, inflate)
    headers = ((b"content-encoding", encoding),)
    [seq] = await store.append(
        [exchange(response_body=body, response_size=len(body), response_headers=headers)]
    )

    with psycopg.connect(url) as connection:
        row: Any = connection.execute(
            "SELECT response_codec, response_body, response_text FROM payloads"
        ).fetchone()
    assert row == kept
    payload = await store.payload(seq)
    assert payload is not None
    assert payload.response_body == body
    await store.close()
