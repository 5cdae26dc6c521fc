"""WebSocket frames read from one direction of a connection (RFC 6455, section 5; compressed: RFC 7692)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

# Longer messages are passed over; they are forwarded like all others.
MAX_MESSAGE_BYTES = 8 * 1024 * 1024

# Code of a connection that ended without a Close frame (section 7.4.1).
NO_CLOSE_FRAME = 1006
# Code of a Close frame without one.
NO_STATUS = 1005
GOING_AWAY = 1001

_FIN, _RSV1, _OTHER_RSV, _MASKED = 0x80, 0x40, 0x30, 0x80
_LENGTH_OF_2, _LENGTH_OF_8 = 126, 127
_MAX_CONTROL_BYTES = 125
# What a sender leaves out at the end of a compressed message (RFC 7692, section 7.2.1).
_DEFLATE_TAIL = b"\x00\x00\xff\xff"


class Opcode(IntEnum):
    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


@dataclass(frozen=True, slots=True)
class TextMessage:
    data: bytes


@dataclass(frozen=True, slots=True)
class CloseFrame:
    code: int = NO_STATUS
    reason: bytes = b""


@dataclass(frozen=True, slots=True)
class Compression:
    """The compression that a connection has agreed on.

    Args:
        is_known: whether messages can be read at all.
        resets_of_client: whether each message of the client is compressed on its own.
    """

    is_on: bool = False
    is_known: bool = True
    resets_of_client: bool = False
    resets_of_server: bool = False


def read_compression(extensions: bytes) -> Compression:
    """Return what the server's `Sec-WebSocket-Extensions` agrees on."""
    if not extensions.strip():
        return Compression()
    name, *parameters = (part.strip().lower() for part in extensions.split(b";"))
    if name != b"permessage-deflate" or b"," in extensions:
        return Compression(is_known=False)
    return Compression(
        is_on=True,
        resets_of_client=b"client_no_context_takeover" in parameters,
        resets_of_server=b"server_no_context_takeover" in parameters,
    )


class MessageInflater:
    """Undoes the compression of one direction, message by message."""

    def __init__(self, *, resets: bool) -> None:
        self._resets = resets
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)

    def inflate(self, packed: bytes, max_bytes: int) -> bytes | None:
        """Return a message; None where it is damaged or longer than `max_bytes`: none can be read after it."""
        try:
            found = self._inflate.decompress(packed + _DEFLATE_TAIL, max_bytes)
        except zlib.error:
            return None
        if self._inflate.unconsumed_tail:
            return None
        if self._resets or self._inflate.eof:
            # A message may end in a final block, after which there is no context.
            self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        return found


class FrameReader:
    """Reads the frames of one direction: text messages and the Close frame; all else is passed over.

    Args:
        inflater: of a connection whose messages are compressed.
        reads_messages: whether text messages are wanted, or the Close frame alone.
    """

    def __init__(
        self,
        inflater: MessageInflater | None = None,
        *,
        reads_messages: bool = True,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
    ) -> None:
        # Why messages are no longer read; None while they are.
        self.fault: str | None = None if reads_messages else "its extensions are not known"
        self.messages_passed_over = 0
        self._inflater = inflater
        self._max_message_bytes = max_message_bytes
        self._head = bytearray()
        self._missing_bytes = 0
        # Of the frame that is under way.
        self._opcode: int = Opcode.CONTINUATION
        self._is_final = True
        self._mask = b""
        self._payload: list[bytes] = []
        self._is_kept = False
        # Of the message that is under way, whose frames may have control frames between them.
        self._message: list[bytes] = []
        self._message_bytes = 0
        self._is_text = self._is_packed = False
        self._is_broken = False

    @property
    def is_between_frames(self) -> bool:
        """Whether a frame could be put in here."""
        return not (self._head or self._missing_bytes or self._is_broken)

    def feed(self, data: bytes) -> Iterator[TextMessage | CloseFrame]:
        """Yield what ends within these bytes. Go through all of it."""
        at = 0
        while at < len(data) and not self._is_broken:
            if not self._missing_bytes:
                at = self._feed_head(data, at)
                if self._head:
                    continue
            piece = data[at : at + self._missing_bytes]
            at += len(piece)
            self._missing_bytes -= len(piece)
            if self._is_kept:
                self._payload.append(piece)
            if not self._missing_bytes and (ended := self._end_frame()) is not None:
                yield ended

    def _feed_head(self, data: bytes, at: int) -> int:
        head = self._head
        while at < len(data):
            missing = _head_length(head) - len(head)
            head += data[at : at + missing]
            at = min(at + missing, len(data))
            if len(head) >= 2 and len(head) == _head_length(head):
                self._begin_frame(bytes(head))
                head.clear()
                return at
        return at

    def _begin_frame(self, head: bytes) -> None:
        first, second = head[:2]
        length = second & ~_MASKED
        mask_at = 2
        if length >= _LENGTH_OF_2:
            mask_at += 2 if length == _LENGTH_OF_2 else 8
            length = int.from_bytes(head[2:mask_at])
        self._opcode, self._is_final = first & 0x0F, bool(first & _FIN)
        self._mask = head[mask_at:]
        self._missing_bytes = length
        self._payload.clear()
        is_control = self._opcode >= Opcode.CLOSE
        if first & _OTHER_RSV or (is_control and length > _MAX_CONTROL_BYTES):
            self._break("it sent what is no frame")
        elif is_control:
            self._is_kept = self._opcode == Opcode.CLOSE
        else:
            self._begin_part(length, is_packed=bool(first & _RSV1))

    def _begin_part(self, length: int, *, is_packed: bool) -> None:
        if self._opcode != Opcode.CONTINUATION:
            self._message.clear()
            self._message_bytes = 0
            self._is_text, self._is_packed = self._opcode == Opcode.TEXT, is_packed
        self._message_bytes += length
        is_wanted = self._is_text or self._inflater is not None
        self._is_kept = is_wanted and self.fault is None and self._message_bytes <= self._max_message_bytes

    def _end_frame(self) -> TextMessage | CloseFrame | None:
        payload = b"".join(self._payload)
        self._payload.clear()
        if self._mask and payload:
            payload = _unmask(payload, self._mask)
        if self._opcode == Opcode.CLOSE:
            return CloseFrame(int.from_bytes(payload[:2]), payload[2:]) if len(payload) >= 2 else CloseFrame()
        if self._opcode > Opcode.CLOSE:
            return None
        if self._is_kept:
            self._message.append(payload)
        return self._end_message() if self._is_final else None

    def _end_message(self) -> TextMessage | None:
        message = b"".join(self._message)
        self._message.clear()
        if self.fault is not None or not self._is_kept:
            self._pass_over()
            return None
        if self._is_packed:
            inflated = None
            if self._inflater is not None:
                inflated = self._inflater.inflate(message, self._max_message_bytes)
            if inflated is None:
                self.fault = "a compressed message could not be read"
                self._pass_over()
                return None
            message = inflated
        return TextMessage(message) if self._is_text else None

    def _pass_over(self) -> None:
        if self._is_text:
            self.messages_passed_over += 1
        if self._is_packed and self.fault is None:
            # What comes after it refers to it.
            self.fault = "a compressed message was too long to be read"

    def _break(self, fault: str) -> None:
        self.fault, self._is_broken = fault, True


def encode_close(code: int, reason: bytes = b"", *, mask: bytes = b"") -> bytes:
    """Return a Close frame; those to a server are masked."""
    payload = code.to_bytes(2) + reason
    if not mask:
        return bytes((_FIN | Opcode.CLOSE, len(payload))) + payload
    return bytes((_FIN | Opcode.CLOSE, _MASKED | len(payload))) + mask + _unmask(payload, mask)


def _head_length(head: bytearray) -> int:
    if len(head) < 2:
        return 2
    length = head[1] & ~_MASKED
    extended = {_LENGTH_OF_2: 2, _LENGTH_OF_8: 8}.get(length, 0)
    return 2 + extended + (4 if head[1] & _MASKED else 0)


def _unmask(payload: bytes, mask: bytes) -> bytes:
    # As one large number, which is far quicker than byte by byte.
    size = len(payload)
    repeated = (mask * (size // len(mask) + 1))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(repeated)).to_bytes(size)
