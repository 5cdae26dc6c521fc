"""Finding the rows in a file that comes piece by piece: one on each line, or the items of JSON arrays.

Memory holds one row and a piece, however long the file is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from gateway.errors import BadInput

MAX_ROW_BYTES = 64 * 1024 * 1024
"""Longest row taken."""

_HEAD_BYTES = 4096
_ARRAYS = re.compile(rb'\s*(?:\[|\{\s*(?:"error"\s*:\s*null\s*,\s*)?"data"\s*:\s*\[)')
"""How a file of arrays begins: with one, or with a reply around one."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[][{}]', re.DOTALL)
"""A string, which may be cut where the text is, or a bracket."""
_QUOTE, _OPENING = ord('"'), b"[{"
_BETWEEN = b" ,\t\r\n"

Rows = Iterator[tuple[int, bytes | BadInput]]
"""The line on which each row begins, and the row, or what is wrong with it."""


def split_rows(pieces: Iterator[bytes]) -> Rows:
    """Yield the rows of a file: JSON lines, a JSON array, or replies `{"data": [...]}`, one after another."""
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= _HEAD_BYTES:
            break
    head = head.removeprefix(_BYTE_ORDER_MARK)
    pieces = chain([head], pieces)
    return _Arrays(pieces).rows() if _ARRAYS.match(head) else _lines(pieces)


def _lines(pieces: Iterator[bytes]) -> Rows:
    number = 1
    parts: list[bytes] = []
    size = 0
    for piece in chain(pieces, [b"\n"]):
        first, *others = piece.split(b"\n")
        size += len(first)
        if size <= MAX_ROW_BYTES:
            parts.append(first)
        for line in others:
            if size > MAX_ROW_BYTES:
                yield number, _too_long()
            elif row := b"".join(parts).strip():
                yield number, row
            number += 1
            parts, size = [line], len(line)


class _Arrays:
    """A text with one or more JSON arrays, and how far it has been read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = bytearray()
        self._line = 1

    def rows(self) -> Rows:
        """Yield the items of all arrays. What is around them is passed over."""
        try:
            while self._enter():
                yield from self._items()
        except BadInput as error:
            self._pass(len(self._held) - len(self._held.lstrip(_BETWEEN)))
            yield self._line, error

    def _enter(self) -> bool:
        """Go past the bracket that opens the next array; tell whether there is one."""
        while (at := self._held.find(b"[")) < 0:
            self._pass(len(self._held))
            if not self._take():
                return False
        self._pass(at + 1)
        return True

    def _items(self) -> Rows:
        while True:
            start, end = self._find_item()
            if self._held[:start].strip(_BETWEEN):
                yield self._line, BadInput("is not an object.", field="row")
            self._pass(start)
            if start == end:
                return
            size = end - start
            yield self._line, _too_long() if size > MAX_ROW_BYTES else bytes(self._held[:size])
            self._pass(size)

    def _find_item(self) -> tuple[int, int]:
        """Return where the next item with brackets begins and ends; both are the end of an array that has no
        more."""
        depth = start = scanned = 0
        while True:
            for token in _TOKEN.finditer(self._held, scanned):
                kind = self._held[token.start()]
                if kind == _QUOTE:
                    if not self._is_closed(token.start(), token.end()):
                        break
                elif kind in _OPENING:
                    start = start if depth else token.start()
                    depth += 1
                elif depth == 0:
                    return token.start(), token.start()
                else:
                    depth -= 1
                    if depth == 0:
                        return start, token.end()
                scanned = token.end()
            if len(self._held) > MAX_ROW_BYTES:
                raise _too_long()
            if not self._take():
                raise BadInput("ends in the middle of an array.", hint="The file may be cut.")

    def _is_closed(self, start: int, end: int) -> bool:
        return end - start > 1 and self._held[end - 1] == _QUOTE

    def _take(self) -> bool:
        """Hold twice as much, so that a long row is not gone over again for each piece of it; tell whether there
        was any more."""
        held = len(self._held)
        while len(self._held) <= 2 * held and (piece := next(self._pieces, None)) is not None:
            self._held.extend(piece)
        return len(self._held) > held

    def _pass(self, end: int) -> None:
        self._line += self._held.count(b"\n", 0, end)
        del self._held[:end]


def _too_long() -> BadInput:
    return BadInput(f"is longer than the {MAX_ROW_BYTES:,} bytes taken.", field="row")
