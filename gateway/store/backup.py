"""Backups: files that appear under their names when they are whole, and stores that are replaced when nobody works
on them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway.errors import Conflict, NotFound, StoreUnavailable
from gateway.store.condition import Copied
from gateway.store.files import JOURNALS, beside, is_name_beside, spills_of
from gateway.store.occupancy import vacated
from gateway.store.sqlite.copying import Progress, copy_database
from gateway.store.sqlite.examining import inspect_database


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored, and where the store lies now that was there before."""

    copied: Copied
    set_aside: Path | None


def back_up(source: Path, target: Path, tell: Progress, *, overwrite: bool) -> Copied:
    """Do what `gateway.store.back_up_store` says, for a database in a file."""
    if not source.exists():
        raise NotFound(f"there is no database {source}.")
    if is_name_beside(source, target):
        raise Conflict(f"{target} is the store itself, or a part of it.", hint="Choose another name.")
    _refuse_existing(target, overwrite)
    with _appearing(target) as partial, _kept(spills_of(source)) as spills:
        copied = copy_database(source, partial, spills, tell)
        _refuse_existing(target, overwrite)
    return copied


def restore(target: Path, backup: Path, *, set_aside: bool) -> Restored:
    """Do what `gateway.store.restore_store` says, for a database in a file."""
    if not backup.is_file():
        raise NotFound(f"there is no file {backup}.")
    _refuse_database_in_use(backup)
    copied = inspect_database(backup)
    with vacated(target), _appearing(target) as partial:
        shutil.copyfile(backup, partial)
        aside = _set_aside(target, may_be=set_aside)
    return Restored(copied, aside)


@contextmanager
def _kept(spills: Sequence[Path]) -> Iterator[Sequence[Path]]:
    """Give copies of files with rows that wait. A gateway may bring the rows in and remove the files at any time:
    what it brings in after the copy of the database was begun is in these then."""
    with tempfile.TemporaryDirectory(prefix="gateway-backup-") as folder:
        copies = []
        for spill in spills:
            with suppress(FileNotFoundError):
                copies.append(Path(shutil.copy(spill, folder)))
        yield copies


@contextmanager
def _appearing(path: Path) -> Iterator[Path]:
    """Give a file to write to, which gets its name, readable by its owner alone, when the block ends well."""
    try:
        handle, name = tempfile.mkstemp(".partial", f".{path.name}.", path.parent)
        os.close(handle)
    except OSError as error:
        raise _not_written(path, error) from error
    partial = Path(name)
    try:
        yield partial
        _sync(partial)
        partial.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise _not_written(path, error) from error
    finally:
        partial.unlink(missing_ok=True)


def _set_aside(path: Path, *, may_be: bool) -> Path | None:
    """Give a database and its log another name, and return that of the database if there is one. A log that was
    left behind without it must go too: SQLite would take it for that of the database which comes in its place."""
    is_there = path.exists()
    if is_there and not may_be:
        raise Conflict(f"{path} is there already.", hint="--force keeps it under another name.")
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.before-{stamp}")
    for ending in (*JOURNALS, ""):
        if (file := beside(path, ending)).exists():
            file.rename(beside(aside, ending))
    return aside if is_there else None


def _refuse_existing(target: Path, overwrite: bool) -> None:
    if target.exists() and not overwrite:
        raise Conflict(f"{target} is there already.", hint="Choose another name, or --force.")


def _refuse_database_in_use(backup: Path) -> None:
    log = beside(backup, "-wal")
    if log.exists() and log.stat().st_size:
        raise Conflict(
            f"{backup} is a database with commits in {log.name}, not a backup.",
            hint="Make one of it with `gateway backup`.",
        )


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _not_written(path: Path, error: OSError) -> StoreUnavailable:
    return StoreUnavailable(f"{path} cannot be written: {(error.strerror or repr(error)).lower()}.")
