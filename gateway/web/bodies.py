"""Read request bodies: size, JSON syntax, validation; errors that name the field."""

import asyncio
import json
import math
import re
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol, TypeVar

import orjson
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import BaseModel, BeforeValidator, ValidationError
from pydantic_core import ErrorDetails

from gateway.errors import BadInput, CallerTimeout, Overloaded, TooLarge
from gateway.models.ids import MAX_ID_BYTES, is_valid_id
from gateway.wire.json_fields import MAX_JSON_VALUES, has_too_many_values

IDEMPOTENCY_KEY = "Idempotency-Key"
MAX_IDEMPOTENCY_KEY = 255

# Of a wrong value in an error message.
MAX_SHOWN_CHARS = 40

# A filter with as many conditions as are allowed takes about a third of it.
MAX_QUERY_BODY_BYTES = 256 * 1024

MAX_DEPTH = 64

# Each body may hold so much whatever others hold, so that large bodies keep no small one out.
FREE_BYTES = 64 * 1024

# Longer bodies are parsed on a thread: other callers' streams share the event loop.
_THREAD_BYTES = 64 * 1024
# By the first bytes of what they make: some callers name a charset in Content-Encoding, or compress nothing.
_COMPRESSIONS = {"gzip": b"\x1f\x8b", "x-gzip": b"\x1f\x8b", "deflate": b"\x78"}
_OTHER_COMPRESSIONS = frozenset({"br", "zstd", "compress"})
# Of zlib: reads its own format and gzip's.
_ANY_ZLIB_FORMAT = 47

# An array with fewer objects than this for each allowed entry is cheap enough to decode whole.
_OBJECTS_PER_ENTRY = 4

_SEPARATOR = re.compile(r"[ \t\n\r,]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MAY_EXCEED_64_BITS = re.compile(rb"\d{19}")

Model = TypeVar("Model", bound=BaseModel)


def validate_body(model: type[Model], body: object, at: str = "") -> Model:
    """Return a body, or an entry at a path in it, as a model. Raises BadInput."""
    if not isinstance(body, dict):
        raise BadInput(f"must be an object; got {abbreviate(body)}.", field=at or "body")
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise to_bad_input(error, at) from None


def to_bad_input(error: ValidationError, at: str = "") -> BadInput:
    """Return the first error with the path of its field, after the path `at` of the value."""
    first = error.errors(include_url=False)[0]
    path = field_path(first["loc"], at)
    return BadInput(f"{_describe_error(first)}.", field=path or "body")


def field_path(steps: Sequence[int | str], at: str = "") -> str:
    path = at
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            name = step if len(step) <= MAX_SHOWN_CHARS else f"{step[:MAX_SHOWN_CHARS]}…"
            path += f".{name}" if path else name
    return path


def abbreviate(value: object) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    text = json.dumps(value, default=str)
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}…"


def as_text(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _check_scalar(value: object) -> object:
    # Before the union, whose errors name its branches as if they were fields.
    if isinstance(value, str | int | float):
        return value
    raise ValueError(f"must be a text, a number, true or false; got {abbreviate(value)}")


ScalarInput = Annotated[str | int | float | bool, BeforeValidator(_check_scalar)]


def parse_id(value: object) -> str:
    if isinstance(value, str) and is_valid_id(value):
        return value
    raise ValueError(f"must be a printable string of 1 to {MAX_ID_BYTES} bytes; got {abbreviate(value)}")


def read_idempotency_key(headers: Mapping[str, str]) -> str | None:
    """Return the idempotency key of a call. Raises BadInput.

    Source: draft-ietf-httpapi-idempotency-key-header, but quotes are not required.
    """
    key = headers.get(IDEMPOTENCY_KEY)
    if key is not None and not (0 < len(key) <= MAX_IDEMPOTENCY_KEY and key.isprintable()):
        raise BadInput(f"must be 1 to {MAX_IDEMPOTENCY_KEY} printable characters.", field=IDEMPOTENCY_KEY)
    return key


def _describe_error(error: ErrorDetails) -> str:
    if error["type"] == "missing":
        return "is missing"
    if error["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return f"must be an object; got {abbreviate(error['input'])}"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    return f"{error['msg'][0].lower()}{error['msg'][1:]}; got {abbreviate(error['input'])}"


@dataclass(slots=True)
class BodyLimits:
    """Limits of the bodies of all requests together: pause between chunks, and bytes beyond FREE_BYTES each."""

    body_timeout_seconds: float = 60.0
    max_held_bytes: int = 64 * 1024 * 1024
    held_bytes: int = 0


class RequestBody:
    def __init__(self, limits: BodyLimits) -> None:
        # Set for callers that may send less than others.
        self.max_bytes: int | None = None
        self.body_timeout_seconds = limits.body_timeout_seconds
        self._limits = limits
        self._size = 0
        self._held_bytes = 0

    def hold(self, size: int) -> None:
        more = max(0, self._size + size - FREE_BYTES) - self._held_bytes
        if self._limits.held_bytes + more > self._limits.max_held_bytes:
            raise Overloaded(
                "other long bodies are being read.", hint="Send this one again, or in smaller parts."
            )
        self._size += size
        self._limits.held_bytes += more
        self._held_bytes += more

    def release(self) -> None:
        self._limits.held_bytes -= self._held_bytes
        self._held_bytes = 0


# Set on each request to the gateway's own paths.
REQUEST_BODY = web.RequestKey("request_body", RequestBody)


async def read_json(request: web.Request, limit_bytes: int, max_entries: int | None = None) -> object:
    """Read a JSON body of any content type. Raises what `read_body` and `parse_json` do."""
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding in _OTHER_COMPRESSIONS:
        fault = f"must not be {encoding}; send the body with gzip or deflate, or uncompressed."
        raise BadInput(fault, field="Content-Encoding")
    raw = await read_body(request, limit_bytes)
    if (start := _COMPRESSIONS.get(encoding)) is not None and raw.startswith(start):
        raw = await asyncio.to_thread(_decompress, raw, limit_bytes)
    if len(raw) > _THREAD_BYTES:
        return await asyncio.to_thread(parse_json, raw, max_entries)
    return parse_json(raw, max_entries)


def _decompress(raw: bytes, limit_bytes: int) -> bytes:
    decompressor = zlib.decompressobj(wbits=_ANY_ZLIB_FORMAT)
    try:
        body = decompressor.decompress(raw, limit_bytes + 1)
    except zlib.error:
        raise BadInput("is not encoded the way its headers say.", field="body") from None
    if len(body) > limit_bytes:
        raise TooLarge(f"is longer than {limit_bytes:,} bytes when uncompressed.", field="body")
    if not decompressor.eof:
        raise BadInput("ends before its compressed data does.", field="body")
    return body


async def read_query_body(request: web.Request, limit_bytes: int) -> object:
    return await read_json(request, min(limit_bytes, MAX_QUERY_BODY_BYTES))


def _has_more_entries(raw: bytes, most: int) -> bool:
    if raw.count(b"{") <= most * _OBJECTS_PER_ENTRY or not raw.lstrip().startswith(b"["):
        return False
    decoder = json.JSONDecoder()
    try:
        text = raw.decode()
        at = text.index("[") + 1
        for _ in range(most + 1):
            at = _SEPARATOR.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing as well
            _, at = decoder.raw_decode(text, at)
    except (ValueError, RecursionError):  # at its end, or not JSON, which `parse_json` explains
        return False
    return True


async def read_body(request: web.Request, limit_bytes: int) -> bytes:
    """Read a body. Raises TooLarge, CallerTimeout, Overloaded, BadInput."""
    held = request[REQUEST_BODY]
    if held.max_bytes is not None:
        limit_bytes = min(limit_bytes, held.max_bytes)
    if (request.content_length or 0) > limit_bytes:
        raise _too_large(limit_bytes)
    chunks: list[bytes] = []
    size = 0
    try:
        while chunk := await read_chunk(request.content, held.body_timeout_seconds):
            size += len(chunk)
            if size > limit_bytes:
                raise _too_large(limit_bytes)
            held.hold(len(chunk))
            chunks.append(chunk)
    except (HttpProcessingError, web.RequestPayloadError):
        raise BadInput("is not encoded the way its headers say.", field="body") from None
    return b"".join(chunks)


class BodyReader(Protocol):
    """What reads a request's body, as aiohttp's StreamReader does."""

    def is_eof(self) -> bool: ...
    def exception(self) -> BaseException | None: ...
    def read_nowait(self) -> bytes: ...
    async def readany(self) -> bytes: ...


async def read_chunk(content: BodyReader, body_timeout_seconds: float) -> bytes:
    try:
        if content.is_eof():
            # Nearly always the body came with the head: a timer for it would cost more than reading it.
            return await content.readany()
        async with asyncio.timeout(body_timeout_seconds):
            return await content.readany()
    except TimeoutError:
        raise CallerTimeout(
            f"no more of the body came within {body_timeout_seconds:g} seconds.",
            hint="Send it without such pauses; server.read_timeout says how long they may be.",
        ) from None


def parse_json(raw: bytes, max_entries: int | None = None) -> object:
    """Decode JSON (RFC 8259) without loss. Raises TooLarge, BadInput.

    Args:
        max_entries: of an array; one with few more is returned.
    """
    if max_entries is not None and _has_more_entries(raw, max_entries):
        raise BadInput(f"must be an array of 1 to {max_entries:,} entries; got more.", field="body")
    if has_too_many_values(raw):
        raise TooLarge(f"holds more than {MAX_JSON_VALUES:,} values.", field="body")
    try:
        body: object = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _explain_syntax_error(raw, error) from None
    _refuse_deep(body)
    if _MAY_EXCEED_64_BITS.search(raw):
        # Integers beyond 64 bits became floats above, and would not be stored as they were sent.
        _refuse_invalid_values(json.loads(raw))
    return body


def _too_large(limit_bytes: int) -> TooLarge:
    return TooLarge(f"is longer than the {limit_bytes:,} bytes taken here.", field="body")


def _explain_syntax_error(raw: bytes, error: orjson.JSONDecodeError) -> BadInput:
    # Python's parser accepts NaN, lone surrogates and long integers, and so leads to the field that has one.
    if not raw.strip():
        return BadInput("is empty; send a JSON object.", field="body")
    try:
        _refuse_invalid_values(json.loads(raw))
    except BadInput as found:
        return found
    except RecursionError:
        return _too_deep("body")
    except ValueError:
        pass
    return BadInput(f"is not valid JSON: {error.msg}.", field="body")


def _refuse_invalid_values(body: object) -> None:
    for steps, value in _walk_values(body):
        if fault := _invalid_reason(steps[-1]):
            raise BadInput(f"has a key that {fault}", field=field_path(steps[1:-1]) or "body")
        if fault := _invalid_reason(value):
            raise BadInput(fault, field=field_path(steps[1:]) or "body")


def _invalid_reason(value: object) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number; NaN and Infinity are not JSON."
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return "is an integer of more than 64 bits; send it as a string."
    if isinstance(value, str) and _SURROGATE.search(value):
        return "holds half of a surrogate pair, which is not a character."
    return None


def _refuse_deep(body: object) -> None:
    # Millions of scalars may pass here, so no path is made before something is known to be wrong.
    level = [body]
    for _ in range(MAX_DEPTH):
        level = [item for parent in level for item in _items(parent) if isinstance(item, dict | list)]
        if not level:
            return
    for steps, value in _walk_values(body):
        if len(steps) > MAX_DEPTH and isinstance(value, dict | list):
            raise _too_deep(field_path(steps[1:3]))


def _items(value: object) -> Collection[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _too_deep(path: str) -> BadInput:
    return BadInput(f"is nested more than {MAX_DEPTH} levels deep.", field=path)


def _walk_values(body: object) -> Iterator[tuple[list[int | str], object]]:
    """Yield every value in document order, with the list of steps to it, which changes during the walk."""
    # Not recursive: a body may be nested deeper than Python's stack.
    steps: list[int | str] = [""]
    pending: list[Iterator[tuple[int | str, object]]] = [iter([("", body)])]
    while pending:
        entry = next(pending[-1], None)
        if entry is None:
            pending.pop()
            steps.pop()
            continue
        steps[-1], value = entry
        yield steps, value
        if isinstance(value, dict | list):
            pending.append(iter(value.items()) if isinstance(value, dict) else enumerate(value))
            steps.append("")
