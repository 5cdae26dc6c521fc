"""Domain objects to and from rows: clean text, JSON, redacted headers, compressed bodies."""

import codecs
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from operator import attrgetter
from typing import Any, Generic, Protocol, TypeVar, get_args, get_origin, get_type_hints

import orjson
import zstandard

from gateway.models.audit import AuditEntry
from gateway.models.columns import Column, Origin
from gateway.models.exchange import Exchange, Identity, LoggingOptOut, Outcome, PayloadPolicy, RawHeaders
from gateway.models.export import Export
from gateway.models.feedback import Feedback, Receipt
from gateway.models.principal import REDACTED, is_secret_header, is_secret_parameter
from gateway.models.quota import Quota, QuotaUsage
from gateway.models.request import IDENTITY_FIELDS, METADATA_COLUMNS, METADATA_KEYS, Payload, RequestRecord
from gateway.models.reviews import RequestScore, Review
from gateway.store.base import StoredKey
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
_URL_FIELDS = frozenset({b"referer", b"location", b"content-location"})


def redact_headers(headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    """Replace credentials: values of secret names, of Bearer or Basic under any name, routing configs (which
    may hold keys), and secret parameters in URLs."""
    return [
        (name, _REDACTED)
        if is_secret_header(name) or (value.startswith(_CREDENTIAL_STARTS) and _is_credential(name, value))
        else (name, _redact_url(value) if b"?" in value and name.lower() in _URL_FIELDS else value)
        for name, value in headers
    ]


def redact_path(path: str) -> str:
    """Replace the values of secret query parameters (`key`, `access_token`, …)."""
    before, mark, query = path.partition("?")
    if not mark:
        return path
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


PLAIN = "plain"
ZSTD = "zstd"
# Codec of a body that was not kept, and whose head was not either.
OMITTED = "omitted"

# Chat bodies of a kilobyte come out no larger than at level 3, which takes longer.
_ZSTD_LEVEL = 1

_UTF_8_DECODER = codecs.getincrementaldecoder("utf-8")

# Bodies shorter than this, in bytes, gain nothing from compression.
_MIN_COMPRESSED_BYTES = 128


class Packer(Protocol):
    """Makes the columns that hold a body."""

    # Names of the columns, without that of the side before them.
    columns: tuple[str, ...]
    # Columns of a request that its payload repeats, for partitions.
    copied_columns: tuple[str, ...]
    # Values of a body that may not be kept.
    omitted: tuple[str | bytes | None, ...]

    def pack(self, body: bytes, headers: RawHeaders = ()) -> tuple[str | bytes | None, ...]:
        """Return the values of a body that came with these headers."""


class BodyPacker(Packer):
    """Packs bodies with one reused compressor; for one thread."""

    columns = ("codec", "body")
    copied_columns = ()
    omitted = (OMITTED, b"")

    def __init__(self) -> None:
        self._zstd = zstandard.ZstdCompressor(level=_ZSTD_LEVEL)

    def pack(self, body: bytes, headers: RawHeaders = ()) -> tuple[str, bytes]:
        """Return codec and bytes: a zstd frame (RFC 8878), or the body if that is smaller."""
        if len(body) < _MIN_COMPRESSED_BYTES:
            return PLAIN, body
        packed = self._zstd.compress(body)
        return (ZSTD, packed) if len(packed) < len(body) else (PLAIN, body)


def unpack_body(codec: str, kept: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(kept) if codec == ZSTD else kept


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


def headers_from_json(text: str) -> RawHeaders:
    return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in orjson.loads(text))


Row = tuple[Any, ...]
T = TypeVar("T")


class RowMapper(Generic[T]):
    """Converts records of a dataclass to and from rows."""

    def __init__(self, record_type: type[T]) -> None:
        self._record_type = record_type
        hints = get_type_hints(record_type)
        self.columns = tuple(hints)
        self._values_of = attrgetter(*hints)
        readers = ((name, _value_reader(hint)) for name, hint in hints.items())
        self._readers = tuple((name, reader) for name, reader in readers if reader is not None)

    def to_row(self, record: T) -> Row:
        return tuple(map(_column_value, self._values_of(record)))

    def from_row(self, row: Sequence[Any]) -> T:
        values = dict(zip(self.columns, row, strict=True))
        for name, read in self._readers:
            values[name] = read(values[name])
        return self._record_type(**values)


def _value_reader(hint: Any) -> Callable[[Any], Any] | None:
    # None for values that are stored as they are.
    origin = get_origin(hint)
    if origin is Mapping:
        return from_json
    if origin is tuple:
        item_type = get_args(hint)[0]
        read_item = item_type.parse if item_type is Quota else item_type
        return lambda text: tuple(map(read_item, list_from_json(text)))
    return hint if hint is bool or (isinstance(hint, type) and issubclass(hint, StrEnum)) else None


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
SCORE_ROWS = RowMapper(RequestScore)


def _expression(column: Column, holder: str) -> str:
    value = f"{holder}.{column.path}"
    if column.origin is Origin.METADATA:
        return f"_metadata_value(metadata.get('_{column.name}'))"
    if column.is_a(StrEnum):
        return f"{value}.value"
    if column.name == "path":
        return f"clean_text(redact_path({value}))"
    if column.value_type is str:
        return f"clean_text(value) if (value := {value}) is not None else None"
    if column.origin is Origin.FACT:
        return f"_bounded_integer({value})"
    return "to_json(metadata)" if column.name == "metadata" else value


def _compile_row(arguments: str, expressions: Iterable[str]) -> Callable[..., Row]:
    # Compiled as dataclasses compile their methods: with attrgetter and map each row takes a third longer.
    function: Callable[..., Row] = eval(f"lambda {arguments}: ({', '.join(expressions)},)", globals())
    return function


# Takes a seq, an exchange and its metadata; returns the values of `REQUEST_INSERT_COLUMNS`.
_exchange_to_row = _compile_row(
    "seq, exchange, metadata",
    ("seq", *(_expression(column, "exchange") for column in EXCHANGE_COLUMNS), "exchange.payloads.value"),
)

# Takes facts and a time in µs since the epoch; returns the values of `ANNOTATED_COLUMNS`.
facts_to_row = _compile_row("facts, at_us", (*(_expression(each, "facts") for each in FACT_COLUMNS), "at_us"))


def request_to_row(seq: int, exchange: Exchange) -> Row:
    """Return the values of `REQUEST_INSERT_COLUMNS`."""
    return _exchange_to_row(seq, exchange, exchange.identity.metadata)


def metadata_values(metadata: Mapping[str, object]) -> list[str | None]:
    """Return the values of `METADATA_COLUMNS`."""
    return [_metadata_value(metadata.get(key)) for key in METADATA_KEYS]


def session_from_metadata(metadata: Mapping[str, object]) -> str | None:
    return _metadata_value(metadata.get("_session"))


def payload_to_row(seq: int, exchange: Exchange, packer: Packer) -> Row:
    """Return the values of `payloads` in the packer's way."""
    request = response = ("[]", *packer.omitted)
    if exchange.keeps_request:
        request = _pack_message(exchange.request_headers, exchange.request_body, packer)
    if exchange.keeps_response:
        response = _pack_message(exchange.response_headers, exchange.response_body, packer)
    copied_columns = (getattr(exchange, column) for column in packer.copied_columns)
    return (seq, *copied_columns, *request, *response)


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


def payload_from_exchange(exchange: Exchange) -> Payload:
    # Whether a redacted body was cut is unknown, so it counts as whole.
    is_verbatim, opt_out = exchange.payloads is PayloadPolicy.FULL, exchange.opt_out
    is_request_cut = len(exchange.request_body) < exchange.request_size
    is_response_cut = len(exchange.response_body) < exchange.response_size
    return Payload(
        request_headers=exchange.request_headers,
        request_body=exchange.request_body,
        request_truncated=is_verbatim and not opt_out.request and is_request_cut,
        response_headers=exchange.response_headers,
        response_body=exchange.response_body,
        response_truncated=is_verbatim and not opt_out.response and is_response_cut,
        opt_out=opt_out,
    )


def feedback_to_row(entry: Feedback) -> Row:
    # What an edit has from its original is stored there alone.
    if entry.original_id is not None:
        entry = replace(entry, original_id=None, original_text=None)
    return FEEDBACK_ROWS.to_row(entry)


def _pack_message(headers: RawHeaders, body: bytes, packer: Packer) -> Row:
    return (headers_to_json(redact_headers(headers)), *packer.pack(body, headers))


def _metadata_value(value: object) -> str | None:
    if isinstance(value, str):
        return clean_text(value) or None
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _bounded_integer(value: int | None) -> int | None:
    return None if value is None else max(-MAX_INTEGER, min(value, MAX_INTEGER))
