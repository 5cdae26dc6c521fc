"""`body_text`: the SQL function that makes a stored body readable, so that statements can search it."""

from __future__ import annotations

import sqlite3

from gateway.store.base import Decode
from gateway.store.packing import headers_from_json, text_of, unpack

Texts = dict[str, tuple[int, str | None]]
"""The `seq` of a row and the text of its body, by side."""

_KEPT = {
    side: f"SELECT {side}_codec, {side}_body, {side}_headers FROM payloads WHERE seq = ?"
    for side in ("request", "response")
}


def add_body_text(connection: sqlite3.Connection, decode: Decode, texts: Texts) -> None:
    """Let statements on this connection call `body_text(side, seq)`.

    Args:
        decode: undoes the content-encoding.
        texts: what was found last. It is not unpacked again for further conditions on the same row, and must be
            emptied before a row may have changed.
    """

    def body_text(side: str, seq: int) -> str | None:
        latest = texts.get(side)
        if latest is not None and latest[0] == seq:
            return latest[1]
        kept = connection.execute(_KEPT[side], (seq,)).fetchone()
        text = None
        if kept is not None:
            codec, body, headers = kept
            text = text_of(decode(unpack(codec, body), headers_from_json(headers)))
        texts[side] = seq, text
        return text

    connection.create_function("body_text", 2, body_text, deterministic=True)
