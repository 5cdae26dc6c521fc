"""The head of a request: fields for the gateway and the provider, ids, metadata, opt-outs."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import orjson

from gateway.errors import BadInput
from gateway.models import ids as identifiers
from gateway.models.exchange import NO_OPT_OUT, Identity, LoggingOptOut, RawHeaders, value_class
from gateway.models.principal import is_secret_header
from gateway.proxy.credentials import FindGatewayCredentials, is_empty_credential
from gateway.routing.providers import Provider
from gateway.web.middleware import LIMIT_HEADERS, TOKEN_HEADER

# About one connection, not about the message (RFC 9110, section 7.6.1).
HOP_BY_HOP = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection",
        b"te", b"trailer", b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip

TOKEN_FIELD = TOKEN_HEADER.encode()
PROVIDER_FIELD = b"x-portkey-provider"

# In which coding agents name their session; the first one that is there counts.
SESSION_FIELDS = (
    b"x-claude-code-session-id", b"x-session-id", b"session-id", b"thread-id", b"session_id", b"x-opencode-session",
)  # fmt: skip
PARENT_SESSION = b"x-parent-session-id"

# Subprotocols may be keys of the gateway; those of a WebSocket are forwarded by `websocket.py`.
_NOT_FORWARDED = HOP_BY_HOP | {b"host", b"expect", b"sec-websocket-protocol"}
_RETRY_COUNT = b"x-stainless-retry-count"
_MAX_RETRY_DIGITS = 4
_SESSION_NAMES = frozenset({PARENT_SESSION, *SESSION_FIELDS})
_HANDLED = _NOT_FORWARDED | _SESSION_NAMES | {_RETRY_COUNT}
# Longer ones, which may be made up, shall not fill a cache.
_MAX_CACHED_NAME_BYTES = 64
_VIRTUAL_KEY = b"x-portkey-virtual-key"
_CUSTOM_HOST = b"x-portkey-custom-host"
CONFIG_FIELD = b"x-portkey-config"
_CHOICE_FIELDS = frozenset({PROVIDER_FIELD, _VIRTUAL_KEY, _CUSTOM_HOST})
_PROVIDER_NAME = PROVIDER_FIELD.decode()
_GATEWAY_PREFIXES = (b"x-portkey-", b"helicone-", TOKEN_FIELD)
_PROPERTY_PREFIX = b"helicone-property-"
_SET_BY_GATEWAY = HOP_BY_HOP | {
    b"x-portkey-trace-id", b"x-gateway-trace-id", b"helicone-id", b"x-gateway-request-id", PROVIDER_FIELD,
    TOKEN_FIELD, *(name.encode() for name in LIMIT_HEADERS),
}  # fmt: skip


@value_class()
class SortedHeaders:
    """A request's header fields, sorted by receiver; `repeated` came twice with different values."""

    # By lower-case name; properties by the NAME of `Helicone-Property-NAME` as it is spelt.
    gateway_values: dict[bytes, bytes]
    properties: dict[bytes, bytes]
    forwarded: list[tuple[bytes, bytes]]
    sessions: dict[bytes, bytes]
    repeated: bytes | None
    client_retry: int
    is_chunked: bool
    expects_continue: bool
    wants_websocket: bool


@value_class()
class UpstreamHeaders:
    """Header fields for a provider, its credentials, and those of the caller in fields of other names."""

    fields: RawHeaders
    credentials: list[bytes]
    secret_values: list[bytes]


def sort_headers(raw: RawHeaders) -> SortedHeaders:
    gateway_values: dict[bytes, bytes] = {}
    properties: dict[bytes, bytes] = {}
    forwarded: list[tuple[bytes, bytes]] = []
    sessions: dict[bytes, bytes] = {}
    repeated = None
    client_retry = 0
    connection_options: list[bytes] = []
    is_chunked = expects_continue = wants_websocket = False
    for field in raw:
        find = _handled_name if len(field[0]) <= _MAX_CACHED_NAME_BYTES else _handled_name.__wrapped__
        # In lower case; None: the field is only passed on.
        name = find(field[0])
        if name is None:
            forwarded.append(field)
        elif name.startswith(_PROPERTY_PREFIX):
            properties[field[0][len(_PROPERTY_PREFIX) :]] = field[1]
        elif name.startswith(_GATEWAY_PREFIXES):
            if gateway_values.setdefault(name, field[1]) != field[1]:
                repeated = name
        elif name == _RETRY_COUNT:
            # Sent by the SDKs of OpenAI, Anthropic and others.
            forwarded.append(field)
            if field[1].isdigit() and len(field[1]) <= _MAX_RETRY_DIGITS:
                client_retry = int(field[1])
        elif name in _SESSION_NAMES:
            forwarded.append(field)
            sessions[name] = field[1]
        elif name == b"transfer-encoding":
            is_chunked = True
        elif name == b"connection":
            connection_options += _connection_options(field[1])
        elif name == b"expect":
            expects_continue = field[1].lower() == b"100-continue"
        elif name == b"upgrade":
            wants_websocket = b"websocket" in field[1].lower()
    if connection_options:
        forwarded = _without_fields(forwarded, connection_options)
    return SortedHeaders(
        gateway_values, properties, forwarded, sessions, repeated, client_retry, is_chunked, expects_continue,
        wants_websocket,
    )  # fmt: skip


@lru_cache(maxsize=1024)
def _handled_name(name: bytes) -> bytes | None:
    lowered = name.lower()
    return lowered if lowered in _HANDLED or lowered.startswith(_GATEWAY_PREFIXES) else None


def read_provider_choice(head: SortedHeaders) -> tuple[str | None, str | None, str]:
    """Return provider and custom host that a request names, and the field that names the provider.

    Raises BadInput if two fields name different providers.
    """
    gateway_values, field = head.gateway_values, PROVIDER_FIELD
    if _CHOICE_FIELDS.isdisjoint(gateway_values):
        return None, None, _PROVIDER_NAME
    provider, host = gateway_values.get(PROVIDER_FIELD), gateway_values.get(_CUSTOM_HOST)
    if (virtual_key := gateway_values.get(_VIRTUAL_KEY)) is not None:
        if provider is not None and provider.lstrip(b"@") != virtual_key.lstrip(b"@"):
            fault = f"names another provider than {PROVIDER_FIELD.decode()}."
            raise BadInput(fault, field=_VIRTUAL_KEY.decode(), hint="Send one of the two.")
        provider, field = virtual_key, _VIRTUAL_KEY
    name = None if provider is None else _decode_text(provider)
    return name, None if host is None else _decode_text(host), field.decode()


def upstream_headers(
    head: SortedHeaders, provider: Provider, find: FindGatewayCredentials, in_query: Sequence[bytes] = ()
) -> UpstreamHeaders:
    """Return the fields to send to a provider; `in_query` are the caller's credentials for it in the query."""
    fields = [(b"host", provider.host_header)]
    credentials = [*in_query]
    secret_values: list[bytes] = []
    gateway_values = find([text for _, text in head.forwarded])
    lengths = provider.checked_lengths
    for field in head.forwarded:
        name, text = field
        if gateway_values and text in gateway_values:
            if not is_secret_header(name):
                secret_values.append(text)
        elif len(name) not in lengths or (name := name.lower()) not in provider.checked_names:
            fields.append(field)
        elif name not in provider.replaced_names and not is_empty_credential(text):
            fields.append(field)
            credentials.append(text)
            if not is_secret_header(name):
                secret_values.append(text)
    # The configured key is for callers who send none of their own.
    if provider.key_header is not None and not credentials:
        fields.append(provider.key_header)
        credentials.append(provider.key_header[1])
    if head.is_chunked:
        fields.append((b"transfer-encoding", b"chunked"))
    fields += provider.headers
    credentials += provider.secrets
    return UpstreamHeaders(tuple(fields), credentials, secret_values)


def headers_of_edited_body(fields: RawHeaders, length: int) -> RawHeaders:
    """Return fields for a body that was edited, and whose response is to be edited too."""
    edited = [each for each in with_content_length(fields, length) if each[0].lower() != b"accept-encoding"]
    return (*edited, (b"accept-encoding", b"identity"))


def with_content_length(fields: RawHeaders, length: int) -> RawHeaders:
    """Return fields for a body of another length; those of a chunked one stay as they are."""
    own = b"%d" % length
    return tuple((name, own if name.lower() == b"content-length" else text) for name, text in fields)


def response_headers(raw: RawHeaders) -> list[tuple[bytes, bytes]]:
    forwarded: list[tuple[bytes, bytes]] = []
    connection_options: list[bytes] = []
    for field in raw:
        name = field[0].lower()
        if name not in _SET_BY_GATEWAY:
            forwarded.append(field)
        elif name == b"connection":
            connection_options += _connection_options(field[1])
    return _without_fields(forwarded, connection_options) if connection_options else forwarded


def identity_fields(identity: Identity) -> dict[str, str]:
    trace_id, request_id = identity.trace_id, identity.request_id
    # As Portkey's or Helicone's clients read it, and by the gateway's own name.
    return {
        "x-portkey-trace-id": trace_id, "x-gateway-trace-id": trace_id,
        "helicone-id": request_id, "x-gateway-request-id": request_id,
    }  # fmt: skip


_OWN_FIELDS = b"\r\n".join(name.encode() + b": %b" for name in identity_fields(Identity("", "")))
_OWN_FIELDS += b"\r\n" + PROVIDER_FIELD + b": %b"


def encode_own_fields(identity: Identity, provider: str) -> bytes:
    """Return the lines of a response's head about ids and provider, without their last line break."""
    trace_id, request_id = identity.trace_id.encode(), identity.request_id.encode()
    return _OWN_FIELDS % (trace_id, trace_id, request_id, request_id, provider.encode())


def _connection_options(connection: bytes) -> list[bytes]:
    return [option.strip().lower() for option in connection.split(b",")]


def _without_fields(fields: list[tuple[bytes, bytes]], names: list[bytes]) -> list[tuple[bytes, bytes]]:
    # A sender may not name end-to-end framing here; taking it away would change how the body is read.
    dropped = frozenset(names) - {b"content-length", b"close", b""}
    return [field for field in fields if field[0].lower() not in dropped]


MAX_METADATA_BYTES = 64 * 1024

# Fields that are metadata too, by key: those with a meaning here, and those under which Helicone's clients look for
# them among the properties.
_METADATA_FIELDS = (
    (b"helicone-user-id", "_user"),
    (b"helicone-session-id", "_session"),
    (b"helicone-prompt-id", "_prompt"),
    (b"helicone-model-override", "_model"),
    (b"helicone-prompt-id", "Helicone-Prompt-Id"),
    (b"helicone-session-id", "Helicone-Session-Id"),
    (b"helicone-session-path", "Helicone-Session-Path"),
    (b"helicone-session-name", "Helicone-Session-Name"),
)
_METADATA_NAMES = frozenset(name for name, _ in _METADATA_FIELDS)
_ID_FIELDS = _METADATA_NAMES | {
    b"x-portkey-trace-id", b"x-portkey-span-id", b"x-portkey-parent-span-id", b"x-portkey-span-name",
    b"helicone-request-id",
}  # fmt: skip


def read_identity(head: SortedHeaders, traceparent: str | None) -> Identity:
    """Return the ids and metadata of a request; ids that it does not name are new. Raises BadInput."""
    if head.repeated is not None:
        raise BadInput("came twice with different values.", field=head.repeated.decode(), hint="Send one.")
    ids = {name: _read_id(name, raw) for name, raw in head.gateway_values.items() if name in _ID_FIELDS}
    # What is meant for this gateway goes before the W3C header, which any library on the way may have added.
    trace_id = ids.get(b"x-portkey-trace-id")
    parent_span_id = ids.get(b"x-portkey-parent-span-id")
    if traceparent is not None and (parent := identifiers.parse_traceparent(traceparent)):
        trace_id = trace_id or parent[0]
        parent_span_id = parent_span_id or parent[1]
    return Identity(
        ids.get(b"helicone-request-id") or identifiers.new_id(),
        trace_id or ids.get(b"helicone-session-id") or identifiers.new_id(),
        ids.get(b"x-portkey-span-id") or ids.get(b"helicone-session-path"),
        parent_span_id,
        ids.get(b"x-portkey-span-name") or ids.get(b"helicone-session-name"),
        _read_metadata(head, ids),
    )


def _read_id(name: bytes, raw: bytes) -> str:
    text = raw.decode("utf-8", "surrogateescape")
    if not identifiers.is_valid_id(text):
        allowed = f"1 to {identifiers.MAX_ID_BYTES} bytes of printable text"
        raise BadInput(f"must be {allowed}; got {len(raw)} bytes.", field=name.decode())
    if identifiers.is_unfilled_template(text):
        fix = "Have its value put in before the request is sent."
        raise BadInput(
            f"is a template that was not filled in: {text[:100]!r}.", field=name.decode(), hint=fix
        )
    return text


def _read_sessions(fields: Mapping[bytes, bytes]) -> Iterator[tuple[str, str]]:
    # Other software may use such fields too, so what is no id is not refused.
    for key, names in (("_session", SESSION_FIELDS), ("_parent_session", (PARENT_SESSION,))):
        texts = (fields[name].decode("utf-8", "surrogateescape") for name in names if name in fields)
        if (session := next(filter(identifiers.is_session_id, texts), None)) is not None:
            yield key, session


def _read_metadata(head: SortedHeaders, ids: Mapping[bytes, str]) -> Mapping[str, object]:
    raw = head.gateway_values.get(b"x-portkey-metadata")
    if not (head.properties or head.sessions) and _METADATA_NAMES.isdisjoint(ids):
        return {} if raw is None else _parse_metadata(raw)
    tags = {_decode_text(name): _decode_text(value) for name, value in head.properties.items()}
    if head.sessions:
        tags = dict(_read_sessions(head.sessions)) | tags
    tags |= {key: ids[name] for name, key in _METADATA_FIELDS if name in ids}
    if raw is None:
        return tags
    return {**tags, **_parse_metadata(raw)} if tags else _parse_metadata(raw)


def _decode_text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _parse_metadata(raw: bytes) -> Mapping[str, object]:
    if len(raw) > MAX_METADATA_BYTES:
        raise BadInput(f"is longer than {MAX_METADATA_BYTES} bytes.", field="x-portkey-metadata")
    try:
        metadata = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"is not valid JSON: {error.msg}.", field="x-portkey-metadata") from None
    if not isinstance(metadata, dict):
        raise BadInput('must be a JSON object such as {"_user": "u1"}.', field="x-portkey-metadata")
    return metadata


_OMIT_REQUEST, _OMIT_RESPONSE = b"helicone-omit-request", b"helicone-omit-response"
_OPT_OUT_FIELDS = frozenset({_OMIT_REQUEST, _OMIT_RESPONSE})


def read_opt_out(head: SortedHeaders) -> LoggingOptOut:
    """Read `Helicone-Omit-Request` and `Helicone-Omit-Response`. Raises BadInput unless true or false."""
    if _OPT_OUT_FIELDS.isdisjoint(head.gateway_values):
        return NO_OPT_OUT
    flags: list[bool] = []
    for name in (_OMIT_REQUEST, _OMIT_RESPONSE):
        flag = head.gateway_values.get(name)
        if flag is not None and flag.lower() not in (b"true", b"false"):
            # To store what may not have been meant to be stored would be worse than an error.
            raise BadInput("must be true or false.", field=name.decode())
        flags.append(flag is not None and flag.lower() == b"true")
    return LoggingOptOut(*flags) if True in flags else NO_OPT_OUT
