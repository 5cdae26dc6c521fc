"""Bodies and headers come back as they were, and bodies take no more room than they must."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace

import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gateway.store.body_codecs import PLAIN, ZSTD, ZSTD_DICTIONARY, BodyPacker, read_dictionary, unpack_body
from gateway.store.rows import headers_from_json, headers_to_json, payload_to_row, redact_headers
from gateway.store.sqlite.connection import SqliteConnection
from tests.store.samples import exchange


@given(
    st.lists(st.binary(max_size=400) | st.builds(bytes.__mul__, st.binary(max_size=9), st.integers(0, 500)))
)
def test_bodies_come_back_from_one_packer(bodies: list[bytes]) -> None:
    packer = BodyPacker()
    for packed, body in [(packer.pack(body), body) for body in bodies]:
        assert unpack_body(*packed) == body
        assert len(packed[1]) <= len(body)


def test_a_body_that_shrinks_is_compressed_and_one_that_does_not_is_kept() -> None:
    packer = BodyPacker()
    assert packer.pack(b"again and " * 100)[0] == ZSTD_DICTIONARY
    assert packer.pack(b"again and " * 10_000)[0] == ZSTD
    assert packer.pack(os.urandom(1000))[0] == PLAIN
    assert packer.pack(b"") == (PLAIN, b"")


def test_other_tools_read_bodies_with_what_is_in_the_store(connection: SqliteConnection) -> None:
    body = b'{"model":"gpt-4o","messages":[{"role":"user","content":"What is the capital of France?"}]}' * 2
    codec, packed = BodyPacker().pack(body)
    [(number, dictionary)] = connection.execute("SELECT * FROM body_dictionaries").fetchall()
    assert codec == ZSTD_DICTIONARY
    assert zstandard.get_frame_parameters(packed).dict_id == number
    given = zstandard.ZstdCompressionDict(dictionary)
    assert zstandard.ZstdDecompressor(dict_data=given).decompress(packed) == body


def test_the_dictionary_is_the_one_that_stored_bodies_need() -> None:
    digest = "16a9f8199c76d0c0bb405ed7429a603cda5903b321791d470212a21e37612be6"
    assert hashlib.sha256(read_dictionary()).hexdigest() == digest


@given(st.lists(st.tuples(st.binary(), st.binary())))
def test_header_fields_of_any_bytes_come_back_in_order(headers: list[tuple[bytes, bytes]]) -> None:
    assert headers_from_json(headers_to_json(headers)) == tuple(headers)


def test_headers_that_were_stored_before_are_stored_again_as_they_are() -> None:
    headers = (
        (b"Authorization", b"Bearer secret"),
        (b"x-\xe9", b'a"\\\x01 ?b'),
        (b"", b""),
        (b"referer", b"/?key=1"),
    )
    first = exchange(request_headers=headers)
    again = replace(first, request_headers=headers_from_json(headers_to_json(redact_headers(headers))))
    assert payload_to_row(1, again, BodyPacker()) == payload_to_row(1, first, BodyPacker())
