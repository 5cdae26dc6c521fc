"""`body_text`: the SQL function that makes a stored body readable, so that statements can search it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from gateway.store.base import Decode
from gateway.store.packing import headers_from_json, text_of, unpack


class Texts:
    """What a connection has unpacked last, by side, so that further conditions on a row need not do it again.

    `is_interrupted` ends a statement at the next condition: SQLite itself looks only between rows.
    """

    def __init__(self) -> None:
        self.is_interrupted = False
        self._latest: dict[str, tuple[int, str | None]] = {}

    def begin(self) -> None:
        """Forget all, since rows may have changed, and texts may be long."""
        self.is_interrupted = False
        self._latest.clear()

    def get(self, side: str, seq: int, read: Callable[[], str | None]) -> str | None:
        """Return the text of a body; `read` unpacks it if it is another than before. Raises InterruptedError."""
        if self.is_interrupted:
            raise InterruptedError
        latest = self._latest.get(side)
        if latest is None or latest[0] != seq:
            latest = self._latest[side] = seq, read()
        return latest[1]


_KEPT = {
    side: f"SELECT {side}_codec, {side}_body, {side}_headers FROM payloads WHERE seq = ?"
    for side in ("request", "response")
}


def add_body_text(connection: sqlite3.Connection, decode: Decode, texts: Texts) -> None:
    """Let statements on this connection call `body_text(side, seq)`.

    Args:
        decode: undoes the content-encoding.
        texts: begun anew before a row may have changed.
    """

    def read(side: str, seq: int) -> str | None:
        kept = connection.execute(_KEPT[side], (seq,)).fetchone()
        if kept is None:
            return None
        codec, body, headers = kept
        return text_of(decode(unpack(codec, body), headers_from_json(headers)))

    def body_text(side: str, seq: int) -> str | None:
        return texts.get(side, seq, lambda: read(side, seq))

    connection.create_function("body_text", 2, body_text, deterministic=True)
