"""Domain objects to and from rows: clean text, JSON, redacted headers."""

import codecs
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from operator import attrgetter
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

import orjson

from gateway.models.alerts import AlertCheck, AlertEvent, AlertRule, AlertState
from gateway.models.audit import AuditEntry
from gateway.models.columns import Column, Origin
from gateway.models.datasets import Dataset, DatasetVersion
from gateway.models.exchange import (
    NO_OPT_OUT,
    Exchange,
    Identity,
    LoggingOptOut,
    Outcome,
    PayloadPolicy,
    RawHeaders,
)
from gateway.models.export import Export
from gateway.models.feedback import Feedback, Receipt
from gateway.models.principal import REDACTED, is_secret_header, is_secret_parameter
from gateway.models.quota import Quota, QuotaUsage
from gateway.models.request import (
    IDENTITY_FIELDS,
    METADATA_COLUMNS,
    METADATA_KEYS,
    Facts,
    Payload,
    RequestRecord,
)
from gateway.models.reviews import RequestScore, Review
from gateway.models.rules import Rule
from gateway.models.webhooks import Delivery, Webhook
from gateway.store.base import StoredKey
from gateway.store.body_codecs import OMITTED, Packer, unpack_body
from gateway.store.schema import EXCHANGE_COLUMNS, FACT_COLUMNS, REQUEST_INSERT_COLUMNS

# Largest integer a column holds.
MAX_INTEGER = 2**63 - 1

_MAX_DEPTH = 100


def clean_text(text: str) -> str:
    """Replace NUL by U+FFFD and spell out lone surrogates."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()


def clean_text_or_none(text: str | None) -> str | None:
    return None if text is None else clean_text(text)


def to_json(value: Mapping[str, object]) -> str:
    """Return compact JSON; what JSON or a database cannot hold becomes the nearest that it can."""
    if not value:
        return "{}"
    try:
        encoded = orjson.dumps(value)
    except TypeError:
        encoded = orjson.dumps(_clean_json_value(value, _MAX_DEPTH))
    if b"\\u0000" in encoded:
        encoded = orjson.dumps(_clean_json_value(value, _MAX_DEPTH))
    return encoded.decode()


def from_json(text: str) -> dict[str, object]:
    value: dict[str, object] = orjson.loads(text)
    return value


def numbers_to_json(numbers: Sequence[int]) -> str:
    # To be bound where a statement takes a list.
    return orjson.dumps(list(numbers)).decode()


def list_to_json(texts: Sequence[str]) -> str:
    return orjson.dumps([clean_text(text) for text in texts]).decode()


def list_from_json(text: str) -> list[str]:
    value: list[str] = orjson.loads(text)
    return value


def _clean_json_value(value: object, depth: int) -> object:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) <= MAX_INTEGER else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth == 0:
        return clean_text(str(type(value).__name__))
    if isinstance(value, Mapping):
        return {clean_text(str(key)): _clean_json_value(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean_json_value(item, depth - 1) for item in value]
    return clean_text(str(value))


_REDACTED = REDACTED.encode()
_AUTH_SCHEMES = (b"bearer ", b"basic ")
# What a credential or a routing config begins with.
_CREDENTIAL_STARTS = (b"B", b"b", b"{")
_LATER_STARTS = tuple(b"\n" + start for start in _CREDENTIAL_STARTS)
_URL_FIELDS = frozenset({b"referer", b"location", b"content-location"})


class _SecretNames(dict[bytes, bool]):
    """Whether headers of these names are secret; a lookup costs half of a cached call."""

    def __missing__(self, name: bytes) -> bool:
        found = is_secret_header(name)
        # Callers cannot fill it with made-up names.
        if len(self) < _MAX_KNOWN_NAMES and len(name) <= _MAX_KNOWN_NAME_BYTES:
            self[name] = found
        return found


_MAX_KNOWN_NAMES = 4096
_MAX_KNOWN_NAME_BYTES = 128
_is_secret_name = _SecretNames()


def redact_headers(headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    """Replace credentials: values of secret names, of Bearer or Basic under any name, routing configs (which
    may hold keys), and secret parameters in URLs."""
    kept = [(field[0], _REDACTED) if _is_secret_name[field[0]] else field for field in headers]
    # In most requests no other value needs a closer look.
    values = b"\n".join([value for _, value in kept])
    if values[:1] in _CREDENTIAL_STARTS or b"?" in values or any(start in values for start in _LATER_STARTS):
        return [(name, _redact_value(name, value)) for name, value in kept]
    return kept


def _redact_value(name: bytes, value: bytes) -> bytes:
    if value[:1] in _CREDENTIAL_STARTS and _is_credential(name, value):
        return _REDACTED
    return _redact_url(value) if name.lower() in _URL_FIELDS else value


def redact_path(path: str) -> str:
    """Replace the values of secret query parameters (`key`, `access_token`, …)."""
    if "?" not in path:
        return path
    before, _, query = path.partition("?")
    return f"{before}?{'&'.join(_redact_parameters(query.split('&')))}"


def _redact_url(url: bytes) -> bytes:
    return redact_path(url.decode("latin-1")).encode("latin-1")


def _is_credential(name: bytes, value: bytes) -> bool:
    if value.startswith(b"{"):
        return name.lower() == b"x-portkey-config"
    return value[:7].lower().startswith(_AUTH_SCHEMES)


def _redact_parameters(parameters: Iterable[str]) -> Iterable[str]:
    for parameter in parameters:
        name, equals, _ = parameter.partition("=")
        yield f"{name}={REDACTED}" if equals and is_secret_parameter(name) else parameter


_UTF_8_DECODER = codecs.getincrementaldecoder("utf-8")


def decode_text(body: bytes) -> str | None:
    """Return a body as text to be searched; None where it is empty or no UTF-8."""
    try:
        # A cut may fall inside a character; what is left of it is no reason to call the rest binary.
        return clean_text(_UTF_8_DECODER().decode(body)) or None
    except UnicodeDecodeError:
        return None


def headers_to_json(headers: list[tuple[bytes, bytes]]) -> str:
    # A byte becomes the Latin-1 character of its number, so that any survives (RFC 9110, section 5.5).
    return orjson.dumps([(name.decode("latin-1"), text.decode("latin-1")) for name, text in headers]).decode()


class StoredHeaders(tuple[tuple[bytes, bytes], ...]):
    """Header fields as they were stored before, in the journal or the store, and their redacted JSON."""

    text: str


def headers_from_json(text: str) -> RawHeaders:
    fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in orjson.loads(text)]
    headers = StoredHeaders(fields)
    headers.text = text
    return headers


Row = tuple[Any, ...]
T = TypeVar("T")


class RowMapper(Generic[T]):
    """Converts records of a dataclass to and from rows."""

    def __init__(self, record_type: type[T]) -> None:
        self._record_type = record_type
        hints = get_type_hints(record_type)
        self.columns = tuple(hints)
        self._values_of = attrgetter(*hints)
        self._read = _compile_reader(record_type, hints)

    def to_row(self, record: T) -> Row:
        return tuple(map(_column_value, self._values_of(record)))

    def from_row(self, row: Sequence[Any]) -> T:
        record: T = self._read(*row)
        return record


def _compile_reader(record_type: type, hints: Mapping[str, Any]) -> Callable[..., Any]:
    """Return a function of a row's values; compiled as `_compile_row` is, since exports read millions of rows."""
    known: dict[str, Any] = {"record_type": record_type}
    fields = []
    for place, (name, hint) in enumerate(hints.items()):
        value = f"value_{place}"
        if (read := _value_reader(hint)) is not None:
            known[f"read_{place}"] = read
            value = f"read_{place}({value})"
        fields.append(f"{name}={value}")
    values = ", ".join(f"value_{place}" for place in range(len(hints)))
    function: Callable[..., Any] = eval(f"lambda {values}: record_type({', '.join(fields)})", known)
    return function


def _value_reader(hint: Any) -> Callable[[Any], Any] | None:
    # None for values that are stored as they are.
    origin = get_origin(hint)
    if origin is Mapping:
        return from_json
    if origin is tuple:
        item_type = get_args(hint)[0]
        read_item = item_type.parse if item_type is Quota else item_type
        return lambda text: tuple(map(read_item, list_from_json(text)))
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        # Calling the class takes four times as long.
        return {member.value: member for member in hint}.__getitem__
    return hint if hint is bool else None


def _column_value(value: Any) -> Any:
    if isinstance(value, str):
        return clean_text(str(value))
    if isinstance(value, Mapping):
        return to_json(value)
    return list_to_json([str(item) for item in value]) if isinstance(value, tuple) else value


REQUEST_ROWS = RowMapper(RequestRecord)
FEEDBACK_ROWS = RowMapper(Feedback)
RECEIPT_ROWS = RowMapper(Receipt)
KEY_ROWS = RowMapper(StoredKey)
QUOTA_USAGE_ROWS = RowMapper(QuotaUsage)
EXPORT_ROWS = RowMapper(Export)
AUDIT_ROWS = RowMapper(AuditEntry)
REVIEW_ROWS = RowMapper(Review)
WEBHOOK_ROWS = RowMapper(Webhook)
DELIVERY_ROWS = RowMapper(Delivery)
RULE_ROWS = RowMapper(Rule)
SCORE_ROWS = RowMapper(RequestScore)
ALERT_ROWS = RowMapper(AlertRule)
ALERT_CHECK_ROWS = RowMapper(AlertCheck)
ALERT_STATE_ROWS = RowMapper(AlertState)
ALERT_EVENT_ROWS = RowMapper(AlertEvent)
DATASET_ROWS = RowMapper(Dataset)
DATASET_VERSION_ROWS = RowMapper(DatasetVersion)


# What facts may add to an exchange, or correct.
_CORRECTABLE_COLUMNS = ("outcome", "is_stream", "user", "session")
_CORRECTABLE = ", ".join(_CORRECTABLE_COLUMNS)


def _expression(column: Column, holder: str) -> str:
    value = f"{holder}.{column.path}"
    if column.name in _CORRECTABLE_COLUMNS:
        return column.name
    if column.origin is Origin.METADATA:
        return f"None if (value := metadata.get('_{column.name}')) is None else _metadata_value(value)"
    if column.is_a(StrEnum):
        return f"{value}.value"
    if column.name == "path":
        return f"clean_text(redact_path({value}))"
    if column.value_type is str:
        # Most texts are clean, and a call would cost more than to see it.
        is_clean = "value.isascii() and '\\0' not in value"
        return f"value if (value := {value}) is None or ({is_clean}) else clean_text(value)"
    if column.origin is Origin.FACT:
        return f"_bounded_integer({value})"
    return "to_json(metadata)" if column.name == "metadata" else value


def _compile_row(arguments: str, expressions: Iterable[str]) -> Callable[..., Row]:
    # Compiled as dataclasses compile their methods: with attrgetter and map each row takes a third longer.
    function: Callable[..., Row] = eval(f"lambda {arguments}: ({', '.join(expressions)},)", globals())
    return function


_EXCHANGE_VALUES = (
    "seq",
    *(_expression(column, "exchange") for column in EXCHANGE_COLUMNS),
    "exchange.payloads.value",
)
_FACT_VALUES = (*(_expression(each, "facts") for each in FACT_COLUMNS), "at_us")

_exchange_to_row = _compile_row(f"seq, exchange, metadata, {_CORRECTABLE}", _EXCHANGE_VALUES)

# Takes facts and a time in µs since the epoch; returns the values of `ANNOTATED_COLUMNS`.
facts_to_row = _compile_row("facts, at_us", _FACT_VALUES)

_complete_row = _compile_row(
    f"seq, exchange, metadata, {_CORRECTABLE}, facts, at_us", (*_EXCHANGE_VALUES, *_FACT_VALUES)
)


def request_to_row(seq: int, exchange: Exchange) -> Row:
    """Return the values of `REQUEST_INSERT_COLUMNS`."""
    metadata = exchange.identity.metadata
    user, session = user_from_metadata(metadata), session_from_metadata(metadata)
    return _exchange_to_row(
        seq, exchange, metadata, exchange.outcome.value, exchange.is_stream, user, session
    )


def complete_row(seq: int, exchange: Exchange, facts: Facts, at_us: int) -> Row:
    """Return the values of `COMPLETE_COLUMNS`; facts add user and session, and correct how the answer ended."""
    metadata = exchange.identity.metadata
    user, session = user_from_metadata(metadata), session_from_metadata(metadata)
    if user is None and facts.user:
        user = clean_text(facts.user)
        metadata = {**metadata, "_user": metadata.get("_user", user)}
    if session is None and facts.session:
        session = clean_text(facts.session)
        metadata = {**metadata, "_session": metadata.get("_session", session)}
    outcome, is_stream = exchange.outcome, exchange.is_stream
    if facts.outcome is not None or facts.is_stream:
        outcome = facts.outcome or outcome
        is_stream = is_stream if facts.is_stream is None else facts.is_stream
    return _complete_row(seq, exchange, metadata, outcome.value, is_stream, user, session, facts, at_us)


def metadata_values(metadata: Mapping[str, object]) -> list[str | None]:
    """Return the values of `METADATA_COLUMNS`."""
    return [_metadata_value(metadata.get(key)) for key in METADATA_KEYS]


def user_from_metadata(metadata: Mapping[str, object]) -> str | None:
    return _metadata_value(metadata.get("_user"))


def session_from_metadata(metadata: Mapping[str, object]) -> str | None:
    return _metadata_value(metadata.get("_session"))


def payload_to_row(seq: int, exchange: Exchange, packer: Packer) -> Row:
    """Return the values of `payloads` in the packer's way."""
    request = response = ("[]", *packer.omitted)
    if exchange.keeps_request:
        request = _pack_message(exchange.request_headers, exchange.request_body, packer)
    if exchange.keeps_response:
        response = _pack_message(exchange.response_headers, exchange.response_body, packer)
    if not packer.copied_columns:
        return (seq, *request, *response)
    return (seq, *[getattr(exchange, column) for column in packer.copied_columns], *request, *response)


def record_to_row(seq: int, record: RequestRecord) -> Row:
    """Return the values of `REQUESTS.columns` under another `seq`."""
    return (seq, *REQUEST_ROWS.to_row(record)[1:])


def exchange_from_row(row: Sequence[Any]) -> tuple[int, Exchange]:
    """Return seq and exchange of `REQUEST_INSERT_COLUMNS` and `PAYLOAD_COLUMNS`, as far as kept."""
    kept = dict(zip(REQUEST_INSERT_COLUMNS, row, strict=False))
    payload = row[len(REQUEST_INSERT_COLUMNS) :]
    for derived in ("is_stream", *METADATA_COLUMNS):
        del kept[derived]
    seq: int = kept.pop("seq")
    kept["metadata"] = from_json(kept["metadata"])
    identity = Identity(**{name: kept.pop(name) for name in IDENTITY_FIELDS})
    kept["outcome"] = Outcome(kept["outcome"])
    kept["payloads"] = PayloadPolicy(kept["payloads"])
    if payload[0] is not None:
        kept["opt_out"] = LoggingOptOut(payload[1] == OMITTED, payload[4] == OMITTED)
        kept["request_headers"] = headers_from_json(payload[0])
        kept["request_body"] = unpack_body(payload[1], payload[2])
        kept["response_headers"] = headers_from_json(payload[3])
        kept["response_body"] = unpack_body(payload[4], payload[5])
    return seq, Exchange(identity=identity, **kept)


def payload_from_row(row: Sequence[Any]) -> tuple[int, Payload]:
    """Return seq and payload of `seq`, `payloads`, the sizes and `PAYLOAD_COLUMNS` without their `seq`."""
    seq, policy, request_size, response_size, *kept = row
    asked_headers, asked_codec, asked, answered_headers, answered_codec, answered = kept
    request_body, response_body = unpack_body(asked_codec, asked), unpack_body(answered_codec, answered)
    is_asked, is_answered = asked_codec != OMITTED, answered_codec != OMITTED
    # Whether a redacted body was cut is unknown, so it counts as whole.
    is_verbatim = policy == PayloadPolicy.FULL
    return seq, Payload(
        request_headers=headers_from_json(asked_headers),
        request_body=request_body,
        request_truncated=is_verbatim and is_asked and len(request_body) < request_size,
        response_headers=headers_from_json(answered_headers),
        response_body=response_body,
        response_truncated=is_verbatim and is_answered and len(response_body) < response_size,
        opt_out=NO_OPT_OUT if is_asked and is_answered else LoggingOptOut(not is_asked, not is_answered),
    )


def feedback_to_row(entry: Feedback) -> Row:
    # What an edit has from its original is stored there alone.
    if entry.original_id is not None:
        entry = replace(entry, original_id=None, original_text=None)
    return FEEDBACK_ROWS.to_row(entry)


def _pack_message(headers: RawHeaders, body: bytes, packer: Packer) -> Row:
    if isinstance(headers, StoredHeaders):
        return (headers.text, *packer.pack(body, headers))
    return (headers_to_json(redact_headers(headers)), *packer.pack(body, headers))


def _metadata_value(value: object) -> str | None:
    if isinstance(value, str):
        return clean_text(value) or None
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _bounded_integer(value: int | None) -> int | None:
    return (
        value
        if value is None or -MAX_INTEGER <= value <= MAX_INTEGER
        else (MAX_INTEGER if value > 0 else -MAX_INTEGER)
    )
