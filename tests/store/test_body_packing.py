"""Bodies and headers come back as they were, and bodies take no more room than they must."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from gateway.store.rows import PLAIN, ZSTD, BodyPacker, headers_from_json, headers_to_json, unpack_body


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
    assert packer.pack(b"again and " * 100)[0] == ZSTD
    assert packer.pack(os.urandom(1000))[0] == PLAIN
    assert packer.pack(b"") == (PLAIN, b"")


@given(st.lists(st.tuples(st.binary(), st.binary())))
def test_header_fields_of_any_bytes_come_back_in_order(headers: list[tuple[bytes, bytes]]) -> None:
    assert headers_from_json(headers_to_json(headers)) == tuple(headers)
