"""A proxy that ends TLS in front of the gateway, as one in production would."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from types import TracebackType
from urllib.parse import urlsplit

import trustme

PIECE_BYTES = 65536


class TlsFront:
    """A thread that takes one TLS connection on loopback and passes its bytes on.

    Args:
        authority: who signs its certificate.
        url: where the bytes go to, such as http://127.0.0.1:8787.
    """

    def __init__(self, authority: trustme.CA, url: str) -> None:
        self._target = (urlsplit(url).hostname, urlsplit(url).port)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(self._context)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> str:
        self._thread.start()
        return f"https://127.0.0.1:{self._listener.getsockname()[1]}"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        with (
            self._listener.accept()[0] as plain,
            self._context.wrap_socket(plain, server_side=True) as outside,
            socket.create_connection(self._target) as inside,
        ):
            answering = threading.Thread(target=_copy, args=(inside, outside))
            answering.start()
            _copy(outside, inside)
            answering.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(PIECE_BYTES):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
