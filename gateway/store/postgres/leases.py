"""Numbers of processes that share a database: each has one that no other ever had, for as long as it shows that it
lives.

To a number belong the rows that were stored under it and are not interpreted yet. Rows under a number that nobody
has (its process died, or was a command that ended) are taken over by whoever looks next.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

import psycopg

from gateway.domain.database_url import name_of
from gateway.store.claim import Claim, FileClaim
from gateway.store.postgres.failures import translated_errors
from gateway.store.postgres.store import open_connection

LEASE_SECONDS = 30
"""How long a process counts as alive after it last showed it."""

_UNTIL = f"now() + INTERVAL '{LEASE_SECONDS} seconds'"
_JOIN = f"INSERT INTO workers (host, process, lease_until) VALUES (?, ?, {_UNTIL}) RETURNING number"
_STAY = f"""
INSERT INTO workers (number, host, process, lease_until) OVERRIDING SYSTEM VALUE VALUES (?, ?, ?, {_UNTIL})
ON CONFLICT (number) DO UPDATE SET lease_until = excluded.lease_until
"""
_LEAVE = "DELETE FROM workers WHERE number = ?"
_FORGET_THE_DEAD = "DELETE FROM workers WHERE lease_until <= now()"
_TAKE_OVER = """
UPDATE requests SET worker = ?
WHERE interpreted_at_us IS NULL AND worker NOT IN (SELECT number FROM workers WHERE lease_until > now())
"""


class LeaseClaim(Claim):
    """A number in a database, and the files that this machine has for the database.

    Args:
        files: the claim on the files.
    """

    def __init__(self, url: str, files: FileClaim) -> None:
        self._url = url
        self._files = files
        self._name = name_of(url)
        self._me = (socket.gethostname(), os.getpid())
        with translated_errors(self._name):
            self._connection = open_connection(url)
            self._number: int = self._connection.execute(_JOIN, self._me).fetchone()[0]

    @property
    def numbers(self) -> tuple[int, ...]:
        return (self._number,)

    @property
    def spills(self) -> tuple[Path, ...]:
        return self._files.spills

    def renew(self) -> int:
        with translated_errors(self._name):
            self._connection.begin("BEGIN")
            try:
                self._connection.execute(_STAY, (self._number, *self._me))
                taken = self._connection.execute(_TAKE_OVER, (self._number,)).rowcount
                self._connection.execute(_FORGET_THE_DEAD)
                self._connection.commit()
            except BaseException:
                self._connection.roll_back()
                raise
        return taken

    def give_up(self) -> None:
        self._files.give_up()
        # Without it the lease ends by itself.
        with suppress(psycopg.Error):
            self._connection.execute(_LEAVE, (self._number,))
        self._connection.close()
