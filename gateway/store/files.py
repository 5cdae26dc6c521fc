"""From the URL that names a store to its file and to what lies beside it."""

from __future__ import annotations

from glob import escape
from pathlib import Path

from gateway.domain.database_url import SQLITE_PREFIX
from gateway.errors import BadInput

JOURNALS = ("-wal", "-shm", "-journal")
"""Endings of the files in which SQLite has commits that are not in the database yet, or what undoes them. They
belong to one database, and spoil any other that is put in its place."""

_BESIDE = (*JOURNALS, ".lock", ".spill", ".exports")


def file_of(url: str) -> Path:
    """Return the absolute path of the database that a URL names. Raises BadInput if the URL is of another form."""
    name = url.removeprefix(SQLITE_PREFIX)
    if name == url or not name or name.startswith(":memory:"):
        # It is not shown, since it may hold a password.
        raise BadInput(
            "a store is sqlite:/// and the name of a file, or postgresql:// with host and database.",
            field="storage.url",
        )
    return Path(name).absolute()


def beside(file: Path, ending: str) -> Path:
    """Return the file that has a database's name and this ending."""
    return file.with_name(f"{file.name}{ending}")


def spill_of(file: Path, worker: int) -> Path:
    """Return the file beside a database that takes a worker's exchanges while the database cannot."""
    return beside(file, f".spill.{worker}" if worker else ".spill")


def spills_of(file: Path) -> list[Path]:
    """Return the files beside a database in which rows may wait."""
    return sorted(file.parent.glob(f"{escape(file.name)}.spill*"))


def is_name_beside(file: Path, path: Path) -> bool:
    """Tell whether a path is a store's database, or is taken for a part of the store by its name."""
    path, file = path.resolve(), file.resolve()
    rest = path.name.removeprefix(file.name)
    return path == file or (path.parent == file.parent and rest != path.name and rest.startswith(_BESIDE))
