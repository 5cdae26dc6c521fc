"""`body_text`: the SQL function that makes a stored body readable, so that statements can search it."""

from __future__ import annotations

import sqlite3

from gateway.store.base import Decode
from gateway.store.packing import headers_from_json, text_of, unpack


def add_body_text(connection: sqlite3.Connection, decode: Decode) -> None:
    """Let statements on this connection call `body_text(codec, body, headers)` with columns of `payloads`.

    Args:
        decode: undoes the content-encoding.
    """

    def body_text(codec: str, body: bytes, headers: str) -> str | None:
        return text_of(decode(unpack(codec, body), headers_from_json(headers)))

    connection.create_function("body_text", 3, body_text, deterministic=True)
