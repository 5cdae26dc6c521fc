"""Numbers of processes that share a file, and the rows of those that are no more."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from gateway.store.base import as_sent
from gateway.store.claim import Claim, FileClaim
from gateway.store.sqlite.connection import BUSY_SECONDS, connect_reader, connect_writer, translated_errors
from gateway.store.sqlite.turn import Turn

_IS_LEFT = "SELECT 1 FROM requests WHERE interpreted_at_us IS NULL AND worker = ? LIMIT 1"
_TAKE_OVER = "UPDATE requests SET worker = ? WHERE interpreted_at_us IS NULL AND worker = ?"


class SqliteClaim(Claim):
    """A number at a store in a file.

    Args:
        path: the database.
        files: the claim on what lies beside it.
    """

    def __init__(self, path: Path, files: FileClaim) -> None:
        self._path = path
        self._files = files

    @property
    def numbers(self) -> tuple[int, ...]:
        return self._files.numbers

    @property
    def spills(self) -> tuple[Path, ...]:
        return self._files.spills

    def renew(self) -> int:
        """Take over the rows of numbers that nobody holds any more. The locks show by themselves who is alive.

        Who comes for such a number meanwhile may find its newest rows taken over too: facts are stored once all the
        same, by whoever is first.
        """
        return sum(self._take_over(number) for number in self._files.deserted())

    def give_up(self) -> None:
        self._files.give_up()

    def _take_over(self, number: int) -> int:
        if not self._is_anything_left(number):
            return 0
        with (
            closing(connect_writer(self._path)) as connection,
            closing(Turn(self._path, BUSY_SECONDS)) as turn,
            translated_errors(self._path),
        ):
            turn.take()
            return connection.execute(_TAKE_OVER, (self.numbers[0], number)).rowcount

    def _is_anything_left(self, number: int) -> bool:
        with closing(connect_reader(self._path, as_sent)) as connection, translated_errors(self._path):
            return connection.execute(_IS_LEFT, (number,)).fetchone() is not None
