"""A HTTP/1.1 client that sends the bytes it is given and normalises nothing it receives."""

from __future__ import annotations

import hashlib
import socket
import struct
from dataclasses import dataclass, field
from types import TracebackType

PATIENCE_SECONDS = 20
"""Longer than anything should take; who waits longer waits for what will never come."""

Fields = list[tuple[bytes, bytes]]


def request(
    method: bytes = b"POST",
    target: bytes = b"/v1/chat/completions",
    *fields: bytes,
    body: bytes = b"",
    is_chunked: bool = False,
    version: bytes = b"HTTP/1.1",
) -> bytes:
    """Write a request. `fields` are whole lines; Host is put before them and the framing after."""
    lines = [b"%b %b %b" % (method, target, version), b"Host: gateway.localhost", *fields]
    if is_chunked:
        lines.append(b"Transfer-Encoding: chunked")
        body = (chunk(body) if body else b"") + LAST_CHUNK
    elif body:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*lines, b"", body])


def chunk(data: bytes) -> bytes:
    """Frame a piece of a body; of nothing, its end."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


@dataclass
class Head:
    """Status line and fields of a response, as they were on the wire."""

    version: bytes
    status: int
    reason: bytes
    fields: Fields

    def values(self, name: bytes) -> list[bytes]:
        """The values of the fields with this lower-case name."""
        return [value for key, value in self.fields if key.lower() == name]

    def value(self, name: bytes) -> bytes:
        """The only value of a field that must be there once."""
        [value] = self.values(name)
        return value


@dataclass
class Response(Head):
    """A whole response. `body` is what the framing holds."""

    body: bytes
    interim: list[int] = field(default_factory=list)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


class Broken(Exception):
    """The connection ended where more had to come. `received` is the part of the body that had come."""

    def __init__(self, received: bytes) -> None:
        super().__init__(f"broken off after {len(received)} bytes")
        self.received = received


class Connection:
    """One connection to a server on loopback."""

    def __init__(self, port: int, *, receive_buffer_bytes: int | None = None) -> None:
        self._socket = socket.socket()
        if receive_buffer_bytes is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self._socket.settimeout(PATIENCE_SECONDS)
        try:
            self._socket.connect(("127.0.0.1", port))
        except BaseException:
            self._socket.close()
            raise
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def send_until_stuck(self, data: bytes, seconds: float) -> int:
        """Send this over and over until nothing is taken for so long; return how much was."""
        self._socket.settimeout(seconds)
        sent = 0
        try:
            while True:
                sent += self._socket.send(data)
        except TimeoutError:
            return sent
        finally:
            self._socket.settimeout(PATIENCE_SECONDS)

    def call(self, data: bytes) -> Response:
        """Send a request and read its response."""
        self.send(data)
        return self.response(data.partition(b" ")[0])

    def response(self, method: bytes = b"GET") -> Response:
        """Read the response to a request of this method."""
        head, interim = self.head(), []
        while head.status < 200:
            interim.append(head.status)
            head = self.head()
        return Response(**vars(head), body=self._body(head, method), interim=interim)

    def head(self) -> Head:
        """Read a head, interim or final."""
        version, _, rest = self._line().partition(b" ")
        status, _, reason = rest.partition(b" ")
        fields: Fields = []
        while line := self._line():
            name, _, value = line.partition(b":")
            fields.append((name, value.strip(b" \t")))
        return Head(version, int(status), reason, fields)

    def read(self, size: int) -> bytes:
        """Read exactly so many bytes."""
        data = self._file.read(size)
        if len(data) < size:
            raise Broken(data)
        return data

    def chunk(self) -> bytes:
        """Read one chunk; b"" for the last one, with its trailers."""
        size = int(self._line().split(b";")[0], 16)
        data = self.read(size)
        while not size and self._line():
            pass
        if not size:
            return b""
        if self._line():
            raise AssertionError("a chunk does not end where it says")
        return data

    def to_end(self) -> bytes:
        """Read until the connection ends."""
        return self._file.read()

    def is_silent(self, seconds: float) -> bool:
        """Tell whether nothing comes for so long."""
        self._socket.settimeout(seconds)
        try:
            return not self._file.peek(1)
        except TimeoutError:
            # A file that has timed out refuses to be read again.
            self._file = self._socket.makefile("rb")
            return True
        finally:
            self._socket.settimeout(PATIENCE_SECONDS)

    def reset(self) -> None:
        """Close with RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def _body(self, head: Head, method: bytes) -> bytes:
        if method == b"HEAD" or head.status in (204, 304):
            return b""
        if head.values(b"transfer-encoding"):
            return self._chunks()
        if lengths := head.values(b"content-length"):
            return self.read(int(lengths[0]))
        return self.to_end()

    def _chunks(self) -> bytes:
        pieces: list[bytes] = []
        try:
            while piece := self.chunk():
                pieces.append(piece)
        except Broken as broken:
            raise Broken(b"".join(pieces) + broken.received) from None
        return b"".join(pieces)

    def _line(self) -> bytes:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise Broken(line)
        return line[:-2]

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def call(port: int, data: bytes) -> Response:
    """Send a request on a connection of its own and read the response."""
    with Connection(port) as connection:
        return connection.call(data)


def refuses(port: int) -> bool:
    """Whether connections are no longer accepted."""
    try:
        Connection(port).close()
    # The second if its socket closes meanwhile.
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False
