"""Header fields on their way through."""

from __future__ import annotations

import string
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from gateway.models.exchange import RawHeaders
from gateway.models.principal import PROVIDER_HEADERS
from gateway.proxy.credentials import is_empty_credential
from gateway.proxy.request_head import HOP_BY_HOP, response_headers, sort_headers, upstream_headers
from gateway.routing.providers import BasePath, Provider
from gateway.upstream.request import Origin

HOST = (b"host", b"provider.test")
KEY = (b"authorization", b"Bearer provider")
GATEWAY_KEY = b"Bearer gw-secret"

TOKEN = b"x-gateway-feedback-token"
OURS = [b"x-portkey-trace-id", b"X-Portkey-Anything", b"Helicone-Auth", b"helicone-property-a", TOKEN]
OUR_PREFIXES = (b"x-portkey-", b"helicone-", TOKEN)
ANSWERED_BY_US = [
    b"x-portkey-trace-id", b"x-gateway-trace-id", b"helicone-id", b"x-gateway-request-id", b"x-portkey-provider",
    TOKEN,
]  # fmt: skip

names = st.text(string.ascii_letters + string.digits + "-_.!", min_size=1, max_size=20).map(str.encode)
spelt = st.sampled_from([*sorted(HOP_BY_HOP), b"host", b"expect", b"content-length", *OURS, *ANSWERED_BY_US])
odd_case = st.tuples(spelt, st.booleans()).map(lambda pair: pair[0].title() if pair[1] else pair[0])
CREDENTIALS = {name.lower().encode() for name in PROVIDER_HEADERS}
credentials = st.sampled_from([*sorted(CREDENTIALS), b"Authorization", b"X-Api-Key", b"X-TEAM"])
values = st.binary(max_size=30) | st.sampled_from([GATEWAY_KEY, b"Bearer own", b"chunked", b"close, X-Named"])
field_lists = st.lists(st.tuples(names | odd_case | credentials, values), max_size=20).map(tuple)


def provider(key: tuple[bytes, bytes] | None = KEY) -> Provider:
    return Provider(
        name="up",
        origin=Origin("provider.test", 443),
        host_header=b"provider.test",
        base_path=BasePath.of("/v1"),
        base_url="https://provider.test/v1",
        key_header=key,
        headers=((b"x-team", b"blue"),),
    )


def sent(raw: RawHeaders, key: tuple[bytes, bytes] | None = KEY) -> RawHeaders:
    """What a provider is sent of these fields."""
    return upstream_headers(sort_headers(raw), provider(key), find_gateway_key).fields


def find_gateway_key(values: Iterable[bytes]) -> list[bytes]:
    return [value for value in values if value == GATEWAY_KEY]


def named(fields: RawHeaders) -> set[bytes]:
    return {name.lower() for name, _ in fields}


def options_of(raw: RawHeaders) -> set[bytes]:
    """Names that a Connection field says are of this hop."""
    lists = [value for name, value in raw if name.lower() == b"connection"]
    return {option.strip().lower() for one in lists for option in one.split(b",")}


@given(field_lists)
def test_nothing_of_this_hop_or_ours_is_sent_on(raw: RawHeaders) -> None:
    fields = sent(raw)
    assert fields[0] == HOST
    assert [name for name, _ in fields].count(b"host") == 1
    assert not any(name.startswith(OUR_PREFIXES) for name in named(fields))
    assert not named(fields) & (HOP_BY_HOP - {b"transfer-encoding"} | {b"expect"})


@given(field_lists)
def test_all_else_is_sent_on_in_order_as_it_came(raw: RawHeaders) -> None:
    dropped = HOP_BY_HOP | {b"host", b"expect"} | (options_of(raw) - {b"content-length"})
    expected = [
        field
        for field in raw
        if field[0].lower() not in dropped
        and not field[0].lower().startswith(OUR_PREFIXES)
        and field[1] != GATEWAY_KEY
        and field[0].lower() != b"x-team"
        and not (field[0].lower() in CREDENTIALS and is_empty_credential(field[1]))
    ]
    fields = list(sent(raw))
    assert fields[1 : len(expected) + 1] == expected
    added = [name for name, _ in fields[len(expected) + 1 :]]
    assert set(added) <= {b"authorization", b"transfer-encoding", b"x-team"}
    assert len(set(added)) == len(added)


@given(field_lists)
def test_a_gateway_key_is_never_sent_on(raw: RawHeaders) -> None:
    assert GATEWAY_KEY not in [value for _, value in sent(raw)]


@given(field_lists)
def test_a_configured_field_is_the_only_one_of_its_name(raw: RawHeaders) -> None:
    assert [value for name, value in sent(raw) if name.lower() == b"x-team"] == [b"blue"]


@given(field_lists)
def test_the_provider_s_key_is_sent_exactly_where_the_caller_has_none_for_it(raw: RawHeaders) -> None:
    own = [value for name, value in sent(raw, key=None) if name.lower() in CREDENTIALS]
    assert (KEY in sent(raw)) == (not own)


@given(field_lists)
def test_what_goes_back_keeps_order_and_spelling(raw: RawHeaders) -> None:
    dropped = HOP_BY_HOP | set(ANSWERED_BY_US) | (options_of(raw) - {b"content-length"})
    assert response_headers(raw) == [field for field in raw if field[0].lower() not in dropped]


def test_a_chunked_body_is_sent_chunked() -> None:
    assert (b"transfer-encoding", b"chunked") in sent(((b"Transfer-Encoding", b"chunked"),))
    assert b"transfer-encoding" not in named(sent(((b"Content-Length", b"3"),)))


def test_a_connection_field_cannot_take_the_length_away() -> None:
    raw = ((b"Connection", b"content-length, X-Gone"), (b"Content-Length", b"3"), (b"X-Gone", b"1"))
    assert sent(raw, key=None) == (HOST, (b"Content-Length", b"3"), (b"x-team", b"blue"))


def test_of_a_repeated_field_of_ours_the_first_counts() -> None:
    head = sort_headers(((b"X-Portkey-Trace-Id", b"1"), (b"x-portkey-trace-id", b"2")))
    assert head.gateway_values == {b"x-portkey-trace-id": b"1"}


def test_properties_keep_the_spelling_of_their_names() -> None:
    head = sort_headers(((b"helicone-PROPERTY-Team", b"blue"),))
    assert head.properties == {b"Team": b"blue"}
    assert head.gateway_values == {}


def test_only_100_continue_is_an_expectation() -> None:
    assert sort_headers(((b"Expect", b"100-Continue"),)).expects_continue
    assert not sort_headers(((b"Expect", b"something"),)).expects_continue
