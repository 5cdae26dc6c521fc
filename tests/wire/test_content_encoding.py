from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.content_encoding import Decoded, decode, decode_or_raw, header_value


def deflate_raw(data: bytes) -> bytes:
    coder = zlib.compressobj(wbits=-15)
    return coder.compress(data) + coder.flush()


def brotli_compress(data: bytes) -> bytes:
    return bytes(brotli.compress(data))


CODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli_compress,
    "zstd": zstandard.compress,
}
LOREM = bytes(random.Random(1).choices(b"the quick brown fox jumps\n", k=300_000))


def encoded(*codings: str) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"Content-Encoding", ", ".join(codings).encode()),)


@given(st.binary(max_size=400), st.lists(st.sampled_from(sorted(CODERS)), max_size=4))
def test_codings_are_undone_in_the_reverse_of_the_order_they_were_applied(
    data: bytes, codings: list[str]
) -> None:
    body = data
    for coding in codings:
        body = CODERS[coding](body)
    assert decode(body, encoded(*codings)) == Decoded(data, True)


@pytest.mark.parametrize("coding", sorted(CODERS))
def test_a_body_cut_at_any_byte_gives_its_beginning_and_is_not_complete(coding: str) -> None:
    body = CODERS[coding](LOREM)
    for end in range(1, len(body), len(body) // 100):
        decoded = decode(body[:end], encoded(coding))
        assert LOREM.startswith(decoded.data)
        assert not decoded.is_complete
    assert len(decode(body[: len(body) // 2], encoded(coding)).data) > 1000


@pytest.mark.parametrize("coding", sorted(CODERS))
def test_a_damaged_body_gives_something_and_never_raises(coding: str) -> None:
    dice = random.Random(2)
    whole = CODERS[coding](LOREM[:20_000])
    for _ in range(200):
        body = bytearray(whole)
        body[dice.randrange(len(body))] ^= 1 << dice.randrange(8)
        assert len(decode(bytes(body), encoded(coding), max_bytes=100_000).data) <= 100_000


@given(st.binary(min_size=1, max_size=100), st.sampled_from(sorted(CODERS)))
def test_bytes_that_were_never_encoded_never_raise(body: bytes, coding: str) -> None:
    decode(body, encoded(coding))


def test_what_cannot_be_read_otherwise_is_readable_as_it_is() -> None:
    assert decode_or_raw(gzip.compress(b"text"), encoded("gzip")) == b"text"
    assert decode_or_raw(b"no gzip", encoded("gzip")) == b"no gzip"
    assert decode_or_raw(b"text", encoded("unheard-of")) == b"text"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_gives_no_more_than_the_limit(coding: str) -> None:
    bomb = CODERS[coding](bytes(20_000_000))
    decoded = decode(bomb, encoded(coding), max_bytes=1_000_000)
    assert decoded == Decoded(bytes(1_000_000), False)


def test_a_bomb_within_a_bomb_gives_no_more_than_the_limit() -> None:
    bomb = gzip.compress(gzip.compress(bytes(20_000_000)))
    assert decode(bomb, encoded("gzip", "gzip"), max_bytes=1000) == Decoded(bytes(1000), False)


def test_a_body_of_exactly_the_limit_is_complete() -> None:
    assert decode(gzip.compress(LOREM), encoded("gzip"), max_bytes=len(LOREM)) == Decoded(LOREM, True)


def test_deflate_without_its_header_is_read_too() -> None:
    assert decode(deflate_raw(LOREM), encoded("deflate")) == Decoded(LOREM, True)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_several_members_after_each_other_are_one_body(coding: str) -> None:
    body = CODERS[coding](LOREM) + CODERS[coding](b"") + CODERS[coding](b"end")
    assert decode(body, encoded(coding)) == Decoded(LOREM + b"end", True)


def test_an_unknown_coding_leaves_nothing_to_read() -> None:
    assert decode(b"anything", encoded("compress")) == Decoded(b"", False)


def test_more_codings_than_anybody_applies_are_not_undone() -> None:
    body = b"x"
    for _ in range(5):
        body = gzip.compress(body)
    assert decode(body, encoded(*["gzip"] * 5)) == Decoded(b"", False)


@pytest.mark.parametrize(
    "headers", [(), ((b"Content-Encoding", b"identity"),), ((b"content-encoding", b""),)]
)
def test_a_plain_body_is_left_as_it_is(headers: tuple[tuple[bytes, bytes], ...]) -> None:
    assert decode(b"plain", headers) == Decoded(b"plain", True)


def test_an_empty_body_is_complete_under_any_coding() -> None:
    assert decode(b"", encoded("gzip")) == Decoded(b"", True)


def test_codings_on_several_lines_in_any_case_are_one_list() -> None:
    headers = ((b"content-encoding", b"GZIP"), (b"Date", b"today"), (b"CONTENT-ENCODING", b"Br"))
    assert decode(brotli_compress(gzip.compress(b"x")), headers) == Decoded(b"x", True)
    assert header_value(headers, b"content-encoding") == "GZIP,Br"
