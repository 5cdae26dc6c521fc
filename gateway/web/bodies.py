"""Reading a JSON body: size first, then syntax. What it means is the face's business."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Collection, Iterator

import orjson
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.domain.json_volume import MAX_VALUES, holds_too_much
from gateway.errors import BadInput, CallerTimeout, Overloaded, TooLarge
from gateway.web.validation import field_path

MAX_DEPTH = 64
"""Deepest nesting of arrays and objects taken."""

SMALL_BYTES = 64 * 1024
"""How much of each body is taken however much others hold, so that large ones keep no small one out."""

_MAY_EXCEED_64_BITS = re.compile(rb"\d{19}")


class BodyLimits:
    """How long callers may take for bodies, and how much of them may be held at a time.

    Args:
        patience_seconds: longest pause between two pieces of a body; may be replaced.
        most_bytes: how much the bodies of all requests under way may hold together beyond SMALL_BYTES of each.
    """

    def __init__(self, patience_seconds: float = 60.0, most_bytes: int = 64 * 1024 * 1024) -> None:
        self.patience_seconds = patience_seconds
        self.most_bytes = most_bytes
        self.held_bytes = 0
        """What they hold now."""


class RequestBody:
    """How much of its body a request under way holds."""

    def __init__(self, limits: BodyLimits) -> None:
        self.longest_bytes: int | None = None
        """Set where a caller may send less than others: the longest body taken of it."""
        self.patience_seconds = limits.patience_seconds
        self._limits = limits
        self._size = 0
        self._held_bytes = 0

    def hold(self, size: int) -> None:
        """Count so many more bytes. Raises Overloaded where all requests would hold too much with them."""
        more = max(0, self._size + size - SMALL_BYTES) - self._held_bytes
        if self._limits.held_bytes + more > self._limits.most_bytes:
            raise Overloaded(
                "other long bodies are being read.", hint="Send this one again, or in smaller parts."
            )
        self._size += size
        self._limits.held_bytes += more
        self._held_bytes += more

    def release(self) -> None:
        """Let others have what this one held. To be called once the request is answered."""
        self._limits.held_bytes -= self._held_bytes
        self._held_bytes = 0


REQUEST_BODY = web.RequestKey("request_body", RequestBody)
"""Set on each request to the gateway's own paths."""


async def read_json(request: web.Request, limit_bytes: int) -> object:
    """Read and decode a JSON body, whatever its content type is said to be.

    Raises:
        TooLarge, CallerTimeout, Overloaded: see `read_body`.
        BadInput: see `parse_json`.
    """
    return parse_json(await read_body(request, limit_bytes))


async def read_body(request: web.Request, limit_bytes: int) -> bytes:
    """Read a body of at most `limit_bytes`.

    Raises:
        TooLarge: it is longer than that.
        CallerTimeout: it stops coming.
        Overloaded: the bodies of other requests hold too much already.
        BadInput: it is not what its content or transfer encoding says.
    """
    held = request[REQUEST_BODY]
    if held.longest_bytes is not None:
        limit_bytes = min(limit_bytes, held.longest_bytes)
    if (request.content_length or 0) > limit_bytes:
        raise _too_large(limit_bytes)
    pieces: list[bytes] = []
    size = 0
    try:
        while piece := await read_piece(request, held.patience_seconds):
            size += len(piece)
            if size > limit_bytes:
                raise _too_large(limit_bytes)
            held.hold(len(piece))
            pieces.append(piece)
    except (HttpProcessingError, web.RequestPayloadError):
        raise BadInput("is not encoded the way its headers say.", field="body") from None
    return b"".join(pieces)


async def read_piece(request: web.BaseRequest, patience_seconds: float) -> bytes:
    """Return what has come of a body, waiting until there is something; b"" at its end.

    Raises:
        CallerTimeout: nothing came for so long.
    """
    try:
        if request.content.is_eof():
            # All of it has come with the head, as nearly always: then there is nothing to wait for.
            return await request.content.readany()
        async with asyncio.timeout(patience_seconds):
            return await request.content.readany()
    except TimeoutError:
        raise CallerTimeout(
            f"no more of the body came within {patience_seconds:g} seconds.",
            hint="Send it without such pauses; server.read_timeout says how long they may be.",
        ) from None


def parse_json(raw: bytes) -> object:
    """Decode a JSON text (RFC 8259), each number and character of it exactly, or not at all.

    Raises:
        TooLarge: it holds more values than are read.
        BadInput: it is not JSON, nested too deeply, or holds an integer that 64 bits do not; names the field
            where one is to blame.
    """
    if holds_too_much(raw):
        raise TooLarge(f"holds more than {MAX_VALUES:,} values.", field="body")
    try:
        body: object = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _explain(raw, error) from None
    _refuse_deep(body)
    if _MAY_EXCEED_64_BITS.search(raw):
        # Integers beyond 64 bits became floats above, and would not be stored as they were sent.
        _refuse_faults(json.loads(raw))
    return body


def _too_large(limit_bytes: int) -> TooLarge:
    return TooLarge(f"is longer than the {limit_bytes:,} bytes taken here.", field="body")


def _explain(raw: bytes, error: orjson.JSONDecodeError) -> BadInput:
    """Find the field that makes `raw` no JSON, where a more lenient reader can get past it."""
    if not raw.strip():
        return BadInput("is empty; send a JSON object.", field="body")
    try:
        _refuse_faults(json.loads(raw))
    except BadInput as found:
        return found
    except RecursionError:
        return _too_deep("body")
    except ValueError:
        pass
    return BadInput(f"is not valid JSON: {error.msg}.", field="body")


def _refuse_faults(body: object) -> None:
    for steps, value in _walk(body):
        if fault := _fault(steps[-1]):
            raise BadInput(f"has a key that {fault}", field=field_path(steps[1:-1]) or "body")
        if fault := _fault(value):
            raise BadInput(fault, field=field_path(steps[1:]) or "body")


def _fault(value: object) -> str | None:
    """What is wrong with a key or scalar that the lenient reader let pass."""
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number; NaN and Infinity are not JSON."
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return "is an integer of more than 64 bits; send it as a string."
    if isinstance(value, str) and not _is_encodable(value):
        return "holds half of a surrogate pair, which is not a character."
    return None


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse_deep(body: object) -> None:
    # Millions of scalars may pass here, so no path is made before something is known to be wrong.
    level = [body]
    for _ in range(MAX_DEPTH):
        level = [item for parent in level for item in _items(parent) if isinstance(item, dict | list)]
        if not level:
            return
    for steps, value in _walk(body):
        if len(steps) > MAX_DEPTH and isinstance(value, dict | list):
            raise _too_deep(field_path(steps[1:3]))


def _items(value: object) -> Collection[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _too_deep(path: str) -> BadInput:
    return BadInput(f"is nested more than {MAX_DEPTH} levels deep.", field=path)


def _walk(body: object) -> Iterator[tuple[list[int | str], object]]:
    """Every value in the order it is written, with the steps to it: a list that changes as the walk goes on.

    The first step leads to the body itself. Nesting is no matter: nothing here calls itself.
    """
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
