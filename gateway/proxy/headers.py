"""Header fields on their way through: which are ours, which end at this hop, which go on untouched."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.credentials import is_secret_header
from gateway.domain.exchange import RawHeaders
from gateway.domain.value import value
from gateway.errors import BadInput
from gateway.proxy.credentials import FindOurs, is_no_credential
from gateway.routing.targets import Provider
from gateway.web.auth import TOKEN_HEADER
from gateway.web.guard import LIMIT_HEADERS

HOP_BY_HOP = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection",
        b"te", b"trailer", b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip
"""Fields about one connection, not about the message (RFC 9110, section 7.6.1)."""

TOKEN_FIELD = TOKEN_HEADER.encode()
"""Field in which an answer brings a feedback token; what a provider or a caller has in it ends here."""

TRACE_ID_FIELDS = (b"x-portkey-trace-id", b"x-gateway-trace-id")
"""Fields in which an answer names its trace: as Portkey's clients read it, and by the gateway's own name."""

REQUEST_ID_FIELDS = (b"helicone-id", b"x-gateway-request-id")
"""Fields in which an answer names its request: as Helicone's clients read it, and by the gateway's own name."""

SESSION_FIELDS = (
    b"x-claude-code-session-id", b"x-session-id", b"session-id", b"thread-id", b"session_id", b"x-opencode-session",
)  # fmt: skip
"""Fields in which coding agents name their session, the one that counts first ahead."""

PARENT_SESSION = b"x-parent-session-id"
"""Field in which a sub-agent names the session that it was begun from."""

_ENDS_HERE = HOP_BY_HOP | {b"host", b"expect"}
_ABOUT_BODY = frozenset({b"content-length", b"accept-encoding"})
_RETRY_COUNT = b"x-stainless-retry-count"
_MAX_RETRY_DIGITS = 4
_OF_SESSIONS = frozenset({PARENT_SESSION, *SESSION_FIELDS})
_SPECIAL = _ENDS_HERE | _OF_SESSIONS | {_RETRY_COUNT}
_WEBSOCKET = b"websocket"
_PROVIDER = b"x-portkey-provider"
_VIRTUAL_KEY = b"x-portkey-virtual-key"
_OURS = (b"x-portkey-", b"helicone-", TOKEN_FIELD)
_PROPERTY = b"helicone-property-"
_ANSWERED_BY_US = HOP_BY_HOP | {
    *TRACE_ID_FIELDS, *REQUEST_ID_FIELDS, b"x-portkey-provider", TOKEN_FIELD,
    *(name.encode() for name in LIMIT_HEADERS),
}  # fmt: skip


@value()
class RequestHead:
    """A request's header fields, sorted by whom they are for.

    Args:
        ours: fields for the gateway, by lower-case name; of repeated ones the first.
        properties: values of `Helicone-Property-NAME` by NAME as it is spelt.
        onward: fields that go to the provider, as they came.
        sessions: those among them in which agents name sessions, by lower-case name.
        repeated: name of a field for the gateway that came twice with different values.
        client_retry: which try of its client's it is, from 0, by `x-stainless-retry-count`, which the SDKs of
            OpenAI, Anthropic and others send; 0 too where it does not say so.
        is_chunked: whether the body comes in chunks.
        expects_continue: whether the caller waits to be told to send its body.
    """

    ours: dict[bytes, bytes]
    properties: dict[bytes, bytes]
    onward: list[tuple[bytes, bytes]]
    sessions: dict[bytes, bytes]
    repeated: bytes | None
    client_retry: int
    is_chunked: bool
    expects_continue: bool
    wants_websocket: bool


@value()
class UpstreamHead:
    """Header fields for a provider.

    Args:
        fields: all of them, in order.
        credentials: values that open something there.
        hidden: values of the caller's fields that open something under a name that does not say so.
    """

    fields: RawHeaders
    credentials: list[bytes]
    hidden: list[bytes]


def read_request_head(raw: RawHeaders) -> RequestHead:
    """Sort the header fields of a request."""
    ours: dict[bytes, bytes] = {}
    properties: dict[bytes, bytes] = {}
    onward: list[tuple[bytes, bytes]] = []
    sessions: dict[bytes, bytes] = {}
    repeated = None
    client_retry = 0
    connection_options: list[bytes] = []
    is_chunked = expects_continue = wants_websocket = False
    for field in raw:
        name = field[0].lower()
        if name.startswith(_PROPERTY):
            properties[field[0][len(_PROPERTY) :]] = field[1]
        elif name.startswith(_OURS):
            if ours.setdefault(name, field[1]) != field[1]:
                repeated = name
        elif name not in _SPECIAL:
            onward.append(field)
        elif name == _RETRY_COUNT:
            onward.append(field)
            if field[1].isdigit() and len(field[1]) <= _MAX_RETRY_DIGITS:
                client_retry = int(field[1])
        elif name in _OF_SESSIONS:
            onward.append(field)
            sessions[name] = field[1]
        elif name == b"transfer-encoding":
            is_chunked = True
        elif name == b"connection":
            connection_options += _options(field[1])
        elif name == b"expect":
            expects_continue = field[1].lower() == b"100-continue"
        elif name == b"upgrade":
            wants_websocket = _WEBSOCKET in field[1].lower()
    if connection_options:
        onward = _without(onward, connection_options)
    return RequestHead(
        ours,
        properties,
        onward,
        sessions,
        repeated,
        client_retry,
        is_chunked,
        expects_continue,
        wants_websocket,
    )


def read_choice(head: RequestHead) -> tuple[str | None, str | None, str]:
    """Return which provider and which custom host a request asks for, and the field that names the provider.

    Raises:
        BadInput: two fields name different providers, or it brings a routing config.
    """
    ours, field = head.ours, _PROVIDER
    if b"x-portkey-config" in ours:
        raise BadInput("routing configs are not supported by this version.", field="x-portkey-config")
    provider, host = ours.get(_PROVIDER), ours.get(b"x-portkey-custom-host")
    if (virtual_key := ours.get(_VIRTUAL_KEY)) is not None:
        if provider is not None and provider.lstrip(b"@") != virtual_key.lstrip(b"@"):
            raise BadInput(
                f"names another provider than {_PROVIDER.decode()}.",
                field=_VIRTUAL_KEY.decode(),
                hint="Send one of the two.",
            )
        provider, field = virtual_key, _VIRTUAL_KEY
    return (
        None if provider is None else provider.decode("utf-8", "replace"),
        None if host is None else host.decode("utf-8", "replace"),
        field.decode(),
    )


def upstream_headers(
    head: RequestHead, provider: Provider, find_ours: FindOurs, in_query: Sequence[bytes] = ()
) -> UpstreamHead:
    """Return the fields to send to a provider. Its own key is put in where the caller sent none for it.

    Args:
        find_ours: finds the values that open this gateway; their fields end here.
        in_query: the caller's credentials for the provider that are in the query.
    """
    fields = [(b"host", provider.host_header)]
    credentials = [*in_query]
    hidden: list[bytes] = []
    ours = find_ours([text for _, text in head.onward])
    lengths = provider.judged_lengths
    for field in head.onward:
        name, text = field
        if text in ours:
            if not is_secret_header(name):
                hidden.append(text)
        elif len(name) not in lengths or (name := name.lower()) not in provider.judged_names:
            fields.append(field)
        elif name not in provider.replaced_names and not is_no_credential(text):
            fields.append(field)
            credentials.append(text)
            if not is_secret_header(name):
                hidden.append(text)
    if provider.key_header is not None and not credentials:
        fields.append(provider.key_header)
        credentials.append(provider.key_header[1])
    if head.is_chunked:
        fields.append((b"transfer-encoding", b"chunked"))
    fields += provider.headers
    credentials += provider.secrets
    return UpstreamHead(tuple(fields), credentials, hidden)


def headers_of_edited(fields: RawHeaders, length: int) -> RawHeaders:
    """Return fields for a provider with the length of a body that was edited, and such that its answer can be."""
    edited = [field for field in fields if field[0].lower() not in _ABOUT_BODY]
    if not any(name.lower() == b"transfer-encoding" for name, _ in fields):
        edited.append((b"content-length", b"%d" % length))
    return (*edited, (b"accept-encoding", b"identity"))


def with_length(fields: RawHeaders, length: int) -> RawHeaders:
    """Return fields for a body of another length; those of one that comes in chunks stay as they are."""
    mended = b"%d" % length
    return tuple((name, mended if name.lower() == b"content-length" else text) for name, text in fields)


def response_headers(raw: RawHeaders) -> list[tuple[bytes, bytes]]:
    """Return the fields of a provider's answer that go on to the caller."""
    onward: list[tuple[bytes, bytes]] = []
    connection_options: list[bytes] = []
    for field in raw:
        name = field[0].lower()
        if name not in _ANSWERED_BY_US:
            onward.append(field)
        elif name == b"connection":
            connection_options += _options(field[1])
    return _without(onward, connection_options) if connection_options else onward


def _options(connection: bytes) -> list[bytes]:
    return [option.strip().lower() for option in connection.split(b",")]


def _without(fields: list[tuple[bytes, bytes]], names: list[bytes]) -> list[tuple[bytes, bytes]]:
    # A sender may not name end-to-end framing here; taking it away would change how the body is read.
    dropped = frozenset(names) - {b"content-length", b"close", b""}
    return [field for field in fields if field[0].lower() not in dropped]
