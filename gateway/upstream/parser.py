"""Parser of HTTP/1.1 responses from bytes as they arrive; knows no socket and no clock."""

from __future__ import annotations

from typing import NamedTuple

import httptools

from gateway.models.exchange import RawHeaders

MAX_HEAD_BYTES = 256 * 1024
"""Longest head taken, interim responses included; also the longest run of trailers or chunk extensions."""


class MalformedResponse(Exception):
    """What arrived is not a response. The text says why, as the second half of a sentence."""


class ResponseHead(NamedTuple):
    """The head of a final response, and what it says about the body that follows."""

    status: int
    reason: bytes
    headers: RawHeaders
    has_body: bool
    content_length: int | None
    """Bytes of the body that follows; None if it is chunked or ends with the connection."""


class ResponseParser:
    """Reads the responses that come on one connection, one at a time: `expect` each, then `feed` it.

    `head` is there once the final head is; `body` collects pieces until whoever reads it empties the list.
    Interim responses, chunk extensions and trailers are read and dropped. Source: RFC 9112, sections 4 to 8.
    """

    def __init__(self) -> None:
        self.head: ResponseHead | None = None
        self.body: list[bytes] = []
        self.is_complete = False
        self._answers_head = False
        self._is_persistent = False
        self._ends_with_connection = False
        self._bytes_without_body = 0
        self._reason = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._parser = httptools.HttpResponseParser(self)

    @property
    def is_unstarted(self) -> bool:
        """Nothing of the expected response has arrived yet."""
        return self.head is None and not self._bytes_without_body

    @property
    def is_reusable(self) -> bool:
        """The response is complete, and the connection may carry another exchange."""
        return self.is_complete and self._is_persistent

    def expect(self, method: str) -> None:
        """Get ready for the response to a request of this method."""
        if self._answers_head:
            # The old parser still waits for the body that the answer to HEAD announced.
            self._parser = httptools.HttpResponseParser(self)
        self._answers_head = method == "HEAD"
        self.head = None
        self.body = []
        self.is_complete = False
        self._bytes_without_body = 0

    def feed(self, data: bytes) -> None:
        """Read on. What could be read is in `head` and `body` even if this raises.

        Raises:
            Malformed: this is no HTTP, or HTTP of a kind that was not asked for.
        """
        if not self._answers_head:
            self._read(data)
            return
        # By lines, as httptools cannot be told that no body follows and must see nothing after the blank one.
        for line in data.splitlines(keepends=True):
            self._read(line)

    def finish_at_close(self) -> bool:
        """Tell whether the response is complete now that the connection has ended."""
        if self.head is not None and self._ends_with_connection:
            self.is_complete = True
        return self.is_complete

    def _read(self, data: bytes) -> None:
        if self.is_complete:
            self._is_persistent = False
            return
        self._bytes_without_body += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._on_parse_error(error)
        if self._bytes_without_body > MAX_HEAD_BYTES and not self.is_complete:
            raise MalformedResponse(
                _too_long("head" if self.head is None else "run of trailers or chunk extensions")
            )

    def _on_parse_error(self, error: Exception) -> None:
        if not self.is_complete:
            raise MalformedResponse(_reason_of(error)) from None
        self._is_persistent = False

    # What httptools calls. An exception raised here stops it; it comes out of feed_data as a context.

    def on_message_begin(self) -> None:
        if self.is_complete:
            raise MalformedResponse("there is more after its end")
        self._reason = b""
        self._fields = []

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.head is None:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            _check_interim(status)
            return
        if self._bytes_without_body > MAX_HEAD_BYTES:
            _check_size(self._fields)
        length = _body_length(self._fields)
        if self._answers_head or status in (204, 304):
            length = 0
        self.head = ResponseHead(
            status, self._reason, tuple(self._fields), length != 0, _length_or_none(length)
        )
        self._bytes_without_body = 0
        self._ends_with_connection = length == UNTIL_CLOSE
        self._is_persistent = self._parser.should_keep_alive()
        self.is_complete = self._answers_head

    def on_body(self, piece: bytes) -> None:
        if not self._answers_head:
            self._bytes_without_body = 0
            self.body.append(piece)

    def on_message_complete(self) -> None:
        self.is_complete = self.head is not None


CHUNKED = -1
UNTIL_CLOSE = -2


def _body_length(fields: list[tuple[bytes, bytes]]) -> int:
    """Return the body's length in bytes, CHUNKED or UNTIL_CLOSE. httptools refuses those that clash."""
    length = UNTIL_CLOSE
    for name, value in fields:
        if len(name) == 14 and name.lower() == b"content-length":
            length = int(value)
        elif len(name) == 17 and name.lower() == b"transfer-encoding":
            if length == CHUNKED or value.strip().lower() != b"chunked":
                raise MalformedResponse("its transfer coding is not one that was asked for")
            length = CHUNKED
    return length


def _length_or_none(length: int) -> int | None:
    return length if length >= 0 else None


def _check_interim(status: int) -> None:
    if status == 101:
        raise MalformedResponse("it switches protocols, which was not asked for")
    if status < 100:
        raise MalformedResponse("its status is not one")


def _check_size(fields: list[tuple[bytes, bytes]]) -> None:
    if sum(len(name) + len(value) + 4 for name, value in fields) > MAX_HEAD_BYTES:
        raise MalformedResponse(_too_long("head"))


def _too_long(part: str) -> str:
    return f"its {part} is longer than {MAX_HEAD_BYTES // 1024} KiB"


def _reason_of(error: Exception) -> str:
    context = error.__context__
    return str(context if isinstance(context, MalformedResponse) else error)
