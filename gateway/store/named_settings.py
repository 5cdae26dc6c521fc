"""NamedSettings: tables of what has an id, and a name that is taken once in its tenant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Generic, Protocol, TypeVar

from gateway.errors import Conflict, NotFound
from gateway.models.rules import Rule
from gateway.models.webhooks import Webhook
from gateway.store.dialect import Connection
from gateway.store.read_pool import ReadPool
from gateway.store.rows import RowMapper, clean_text, clean_text_or_none
from gateway.store.schema import quote_columns

OF_TENANT = "(CAST(:tenant AS TEXT) IS NULL OR tenant = :tenant)"
LAST_CHANGE = """
coalesce((SELECT max(change_seq) FROM feedback WHERE change_seq IS NOT NULL), 0)
"""
LAST_REQUEST = "coalesce((SELECT max(seq) FROM requests), 0)"


class Setting(Protocol):
    """What is stored by its id."""

    @property
    def tenant(self) -> str | None: ...

    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Setting)
Placed = TypeVar("Placed", Rule, Webhook)


class NamedSettings(Generic[T]):
    """One table, whose id is the column `NOUN_id`; all but the reading is for one transaction of a caller.

    Args:
        noun: in messages.
        owned: tables whose rows are deleted with the setting of their id.
    """

    def __init__(self, table: str, noun: str, rows: RowMapper[T], owned: Sequence[str] = ()) -> None:
        self._table, self._noun, self._rows = table, noun, rows
        self._id = f"{noun}_id"
        # Given by the database.
        self._has_seq = "seq" in rows.columns
        self._columns = rows.columns[1:] if self._has_seq else rows.columns
        self.select = f"SELECT {quote_columns(rows.columns)} FROM {table}"
        self._select_one = f"{self.select} WHERE {self._id} = :id AND {OF_TENANT}"
        set_all = ", ".join(f'"{column}" = ?' for column in self._columns)
        self._update = f"UPDATE {table} SET {set_all} WHERE {self._id} = ?"
        self._name_taken = (
            f"SELECT count(*) FROM {table} WHERE CASE WHEN {self._id} = :id THEN :is_new"
            " ELSE name = :name AND coalesce(tenant, '') = :tenant END"
        )
        self._delete = [f"DELETE FROM {each} WHERE {self._id} = ?" for each in (*owned, table)]

    async def read_all(self, pool: ReadPool, tenant: str | None) -> list[T]:
        """Return the settings that a tenant sees, by name."""
        values = {"tenant": clean_text_or_none(tenant)}
        rows = await pool.fetch_all(f"{self.select} WHERE {OF_TENANT} ORDER BY name", values)
        return [self._rows.from_row(row) for row in rows]

    async def read(self, pool: ReadPool, setting_id: str, tenant: str | None) -> T:
        """Return a setting. Raises NotFound."""
        values = {"id": clean_text(setting_id), "tenant": clean_text_or_none(tenant)}
        return self._found(await pool.fetch_one(self._select_one, values), setting_id)

    def find(self, connection: Connection, setting_id: str, tenant: str | None = None) -> T:
        """Return a setting. Raises NotFound."""
        values = {"id": clean_text(setting_id), "tenant": clean_text_or_none(tenant)}
        return self._found(connection.execute(self._select_one, values).fetchone(), setting_id)

    def _found(self, row: Sequence[Any] | None, setting_id: str) -> T:
        if row is None:
            raise NotFound(f"no {self._noun} has the id {setting_id!r}.", field=self._id)
        return self._rows.from_row(row)

    def insert(self, connection: Connection, setting: T) -> None:
        """Store a new setting. Raises Conflict where its name is taken."""
        # A new one has a new id, but for one that is copied from another store a second time.
        self._refuse_taken_name(connection, setting, is_new=True)
        connection.insert(self._table, self._columns, [self._row(setting)])

    def changed(
        self, connection: Connection, setting_id: str, tenant: str | None, change: Callable[[T], T]
    ) -> tuple[T, T]:
        """Return a setting before and after a change. Raises NotFound, and Conflict where its name is taken."""
        before = self.find(connection, setting_id, tenant)
        after = change(before)
        self._refuse_taken_name(connection, after, is_new=False)
        return before, after

    def write(self, connection: Connection, setting: T) -> bool:
        """Store a setting as it is now; tell whether it was there."""
        return connection.execute(self._update, (*self._row(setting), self._id_of(setting))).rowcount > 0

    def delete(self, connection: Connection, setting_id: str) -> bool:
        """Delete a setting with all that it owns; tell whether it was there."""
        values = (clean_text(setting_id),)
        return [connection.execute(each, values).rowcount for each in self._delete][-1] > 0

    def remove(self, connection: Connection, setting_id: str, tenant: str | None) -> None:
        """Delete a setting that a tenant sees. Raises NotFound."""
        self.find(connection, setting_id, tenant)
        self.delete(connection, setting_id)

    def _refuse_taken_name(self, connection: Connection, setting: T, *, is_new: bool) -> None:
        names = {"name": clean_text(setting.name), "tenant": clean_text(setting.tenant or "")}
        values = {**names, "id": self._id_of(setting), "is_new": is_new}
        if connection.execute(self._name_taken, values).fetchone()[0]:
            fault = f"the name {setting.name!r} is taken by another {self._noun}."
            raise Conflict(fault, field="name", hint="Take another name.")

    def _row(self, setting: T) -> tuple[Any, ...]:
        row = self._rows.to_row(setting)
        return row[1:] if self._has_seq else row

    def _id_of(self, setting: T) -> str:
        setting_id: str = getattr(setting, self._id)
        return setting_id


def place_at_end(connection: Connection, setting: Placed, *cursors: str) -> Placed:
    """Return a setting that begins with what comes from now on."""
    feedback, requests = connection.execute(f"SELECT {LAST_CHANGE}, {LAST_REQUEST}").fetchone()
    ends = {"feedback_position": feedback, "request_position": requests}
    return replace(setting, **{name: ends[name] for name in cursors or ends})
