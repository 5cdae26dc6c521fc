"""The writer of a database that others write to as well: it waits for them only where it must."""

from __future__ import annotations

from psycopg.errors import CheckViolation, DeadlockDetected, SerializationFailure

from gateway.store.postgres.connection import PostgresConnection
from gateway.store.postgres.failures import translated_errors
from gateway.store.postgres.locks import ALONE, TOGETHER
from gateway.store.relational.writer import Write, Writer

_PASSING = (DeadlockDetected, SerializationFailure, CheckViolation)
"""What goes wrong once because of others: the last, where a day gets its partition while rows of it are on their
way to that of the rest."""

TRIES = 5
"""How often jobs are run that get into the way of others' before they fail."""


class PostgresWriter(Writer):
    """Runs jobs in a database.

    Args:
        connection: the writer's own; it closes it.
        name: what the database is called in messages.
    """

    def __init__(self, connection: PostgresConnection, name: str) -> None:
        super().__init__("postgres-writer")
        self._connection = connection
        self._name = name
        self._thread.start()

    def _take_turn(self) -> list[Write]:
        if jobs := self._take():
            self._commit(jobs)
        return jobs

    def _begin(self, jobs: list[Write]) -> None:
        with translated_errors(self._name):
            self._connection.begin(ALONE if any(job.is_alone for job in jobs) else TOGETHER)

    def _run_and_commit(self, jobs: list[Write]) -> None:
        with translated_errors(self._name):
            for _ in range(TRIES - 1):
                try:
                    self._try(jobs)
                    return
                except _PASSING:
                    self._connection.roll_back()
                    self._begin(jobs)
            self._try(jobs)

    def _try(self, jobs: list[Write]) -> None:
        for job in jobs:
            job.result = job.error = None
        self._work_through(jobs, self._connection)
        self._connection.commit()

    def _roll_back(self) -> None:
        self._connection.roll_back()

    def _may_run_again(self, error: Exception) -> bool:
        # A COMMIT whose answer was lost may have been done. Who waits for it must look before he tries again.
        return not self._connection.is_lost

    def _let_go(self) -> None:
        self._connection.close()
