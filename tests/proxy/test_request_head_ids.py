"""What a request says it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadInput
from gateway.models.exchange import Identity
from gateway.proxy.request_head import MAX_METADATA_BYTES, read_identity, sort_headers

ID_HEADERS = [
    b"x-portkey-trace-id", b"x-portkey-span-id", b"x-portkey-parent-span-id", b"x-portkey-span-name",
    b"helicone-request-id", b"helicone-session-id", b"helicone-session-path", b"helicone-session-name",
    b"helicone-user-id", b"helicone-prompt-id", b"helicone-model-override", b"x-portkey-metadata",
    b"helicone-property-a",
]  # fmt: skip

printable = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=100)


def identity(*fields: tuple[bytes, bytes], traceparent: str | None = None) -> Identity:
    return read_identity(sort_headers(fields), traceparent)


def identity_or_refusal(fields: list[tuple[bytes, bytes]], traceparent: str | None) -> Identity | BadInput:
    try:
        return identity(*fields, traceparent=traceparent)
    except BadInput as refusal:
        return refusal


@given(st.lists(st.tuples(st.sampled_from(ID_HEADERS), st.binary(max_size=600))), st.text() | st.none())
def test_whatever_the_headers_hold_there_is_an_identity_or_a_400(
    fields: list[tuple[bytes, bytes]], traceparent: str | None
) -> None:
    found = identity_or_refusal(fields, traceparent)
    if isinstance(found, BadInput):
        assert found.status == 400
        assert found.field is not None
        assert found.field.encode() in ID_HEADERS
        return
    for one in (found.request_id, found.trace_id, found.span_id, found.parent_span_id, found.span_name):
        assert one is None or (one.isprintable() and 1 <= len(one.encode()) <= 512)
    assert isinstance(found.metadata, dict)


@given(printable)
def test_a_printable_id_is_taken_as_it_is(text: str) -> None:
    assert identity((b"x-portkey-trace-id", text.encode())).trace_id == text


def test_ids_that_do_not_come_are_made_and_differ() -> None:
    found = identity()
    assert found.trace_id != found.request_id
    assert identity().trace_id != found.trace_id


def test_metadata_of_the_longest_length_is_taken_and_one_byte_more_is_not() -> None:
    around = len(b'{"a":""}')
    fits = b'{"a":"' + b"x" * (MAX_METADATA_BYTES - around) + b'"}'
    assert len(str(identity((b"x-portkey-metadata", fits)).metadata["a"])) == MAX_METADATA_BYTES - around
    with pytest.raises(BadInput, match="longer than"):
        identity((b"x-portkey-metadata", fits + b" "))


def test_what_says_nothing_of_itself_has_no_metadata() -> None:
    assert identity((b"Content-Type", b"application/json")).metadata == {}
    assert identity((b"x-portkey-trace-id", b"t")).metadata == {}


@pytest.mark.parametrize("trace", [(), ((b"x-portkey-trace-id", b"t"),)])
def test_a_session_is_kept_as_such_whether_or_not_it_names_the_trace(
    trace: tuple[tuple[bytes, bytes], ...],
) -> None:
    found = identity((b"Helicone-Session-Id", b"chat-1"), *trace)
    assert (found.trace_id, found.metadata["_session"]) == ("t" if trace else "chat-1", "chat-1")


def test_a_session_in_the_metadata_names_no_trace_and_stands_over_the_header() -> None:
    in_metadata = (b"x-portkey-metadata", b'{"_session": "run-1"}')
    assert identity(in_metadata).trace_id != "run-1"
    both = identity(in_metadata, (b"Helicone-Session-Id", b"chat-1"))
    assert (both.trace_id, both.metadata["_session"]) == ("chat-1", "run-1")


def test_a_property_that_is_not_utf_8_is_kept_readable() -> None:
    assert identity((b"Helicone-Property-a", b"\xff")).metadata == {"a": "\ufffd"}
