"""Backup, restore and inspection of a database file."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from glob import escape
from pathlib import Path

from gateway.errors import Conflict, NotFound, StoreUnavailable
from gateway.models.clock import now_us
from gateway.store import locks
from gateway.store.base import CopyInfo, FeedbackInfo, StoreInfo, leave_encoded
from gateway.store.body_codecs import BodyPacker
from gateway.store.feedback import inspect_feedback
from gateway.store.imports import append_missing
from gateway.store.journal import read_file
from gateway.store.journal_files import SEGMENT_SUFFIX, all_segments
from gateway.store.rows import list_from_json
from gateway.store.sqlite.connection import (
    SqliteConnection,
    connect_reader,
    migrate_schema,
    require_gateway_database,
    translated_errors,
)

_ROW_COUNTS = "SELECT (SELECT count(*) FROM requests), (SELECT count(*) FROM feedback)"
_NEWEST = "SELECT max(started_at_us) FROM requests"
_LIVE_KEYS = "SELECT roles FROM keys WHERE revoked_at_us IS NULL"
_HAS_KEYS = "SELECT 1 FROM sqlite_schema WHERE name = 'keys'"


def verify_database(path: Path) -> CopyInfo:
    """Check a database that nobody writes to, and return its contents. Raises StoreUnavailable."""
    with translated_errors(path), closing(_connect_immutable(path)) as connection:
        require_gateway_database(connection, path)
        _refuse_damaged(connection, path, "integrity_check")
        requests, feedback = connection.execute(_ROW_COUNTS).fetchone()
    return CopyInfo(requests, feedback, path.stat().st_size)


def inspect_database_file(path: Path) -> StoreInfo:
    """Inspect a database that may be in use. Reads all of it. Raises StoreUnavailable."""
    with translated_errors(path), closing(connect_reader(path, leave_encoded)) as connection:
        lacking = require_gateway_database(connection, path)
        _refuse_damaged(connection, path, "quick_check")
        return StoreInfo(
            lacking=len(lacking),
            newest_at_us=connection.execute(_NEWEST).fetchone()[0],
            key_roles=_live_roles(connection),
            feedback=FeedbackInfo() if lacking else inspect_feedback(connection),
        )


def _refuse_damaged(connection: sqlite3.Connection, path: Path, check: str) -> None:
    found = connection.execute(f"PRAGMA {check}(1)").fetchone()[0]
    if found != "ok":
        raise StoreUnavailable(f"the database {path} is damaged: {found}.")


def _connect_immutable(path: Path) -> sqlite3.Connection:
    # Otherwise SQLite creates files beside it.
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)


def _live_roles(connection: sqlite3.Connection) -> tuple[frozenset[str], ...]:
    if not connection.execute(_HAS_KEYS).fetchone():
        return ()
    return tuple(frozenset(list_from_json(roles)) for (roles,) in connection.execute(_LIVE_KEYS))


_STEP_PAGES = 1024

_POSITION = "SELECT position FROM journal_positions WHERE segment = ?"
_SET_POSITION = (
    "INSERT INTO journal_positions (segment, position) VALUES (?, ?)"
    " ON CONFLICT (segment) DO UPDATE SET position = excluded.position"
)
# Called with the number of pages copied, and the number of all pages.
ReportPages = Callable[[int, int], None]


def copy_database(source: Path, target: Path, journals: Mapping[str, Path], report: ReportPages) -> CopyInfo:
    """Copy a database with its journals into an empty file, and verify the copy. Raises StoreUnavailable."""
    with closing(connect_reader(source, leave_encoded)) as source_connection, translated_errors(source):
        require_gateway_database(source_connection, source)
        source_connection.execute("BEGIN")
        source_connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
        with (
            closing(
                sqlite3.connect(target, isolation_level=None, factory=SqliteConnection)
            ) as target_connection,
            target.open("rb") as file,
            translated_errors(target),
        ):

            def sync_and_report(_: int, left: int, pages: int) -> None:
                os.fsync(file.fileno())
                report(pages - left, pages)

            target_connection.execute("PRAGMA synchronous = OFF")
            source_connection.backup(target_connection, pages=_STEP_PAGES, progress=sync_and_report)
            for name, journal in journals.items():
                _import_journal(target_connection, target, name, journal)
            target_connection.execute("PRAGMA journal_mode = DELETE")
    return verify_database(target)


def _import_journal(connection: SqliteConnection, path: Path, name: str, journal: Path) -> None:
    if not journal.stat().st_size:
        return
    migrate_schema(connection, path)
    packer = BodyPacker()
    stored = connection.execute(_POSITION, (name.removesuffix(SEGMENT_SUFFIX),)).fetchone()
    for batch in read_file(journal, 0 if stored is None else stored[0]):
        connection.execute("BEGIN")
        # Without facts: the gateway that opens the copy reads them. What was stored meanwhile is left out.
        append_missing(connection, packer, [(entry.exchange, entry.facts) for entry in batch], now_us())
        connection.execute("COMMIT")
    if name.endswith(SEGMENT_SUFFIX):
        connection.execute(_SET_POSITION, (name.removesuffix(SEGMENT_SUFFIX), journal.stat().st_size))


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """What was restored, and the new name of the store that was there before."""

    copied: CopyInfo
    set_aside: Path | None


def back_up_database(source: Path, target: Path, report: ReportPages, *, overwrite: bool) -> CopyInfo:
    """Back up a database file; see `gateway.store.back_up_store`."""
    if not source.exists():
        raise NotFound(f"there is no database {source}.")
    if locks.is_part_of_store(source, target):
        raise Conflict(f"{target} is the store itself, or a part of it.", hint="Choose another name.")
    _refuse_existing(target, overwrite)
    with _atomic_file(target) as temporary, _copied_journals(source) as journals:
        copied = copy_database(source, temporary, journals, report)
        _refuse_existing(target, overwrite)
    return copied


def restore_database(target: Path, backup: Path, *, set_aside: bool) -> RestoreResult:
    """Restore a database file; see `gateway.store.restore_store`."""
    if not backup.is_file():
        raise NotFound(f"there is no file {backup}.")
    _refuse_database_in_use(backup)
    copied = verify_database(backup)
    with locks.database_locked_exclusively(target), _atomic_file(target) as temporary:
        shutil.copyfile(backup, temporary)
        renamed = _rename_existing(target, is_allowed=set_aside)
    return RestoreResult(copied, renamed)


@contextmanager
def _copied_journals(source: Path) -> Iterator[Mapping[str, Path]]:
    # A gateway may store and remove them at any time; copied before the database, nothing is missed.
    segments = {
        f"{segment.name}{SEGMENT_SUFFIX}": segment.path
        for segment in all_segments(locks.sibling_path(source, ".journal"))
    }
    # Those of earlier versions.
    old = {path.name: path for path in sorted(source.parent.glob(f"{escape(source.name)}.spill*"))}
    with tempfile.TemporaryDirectory(prefix="gateway-backup-") as folder:
        copies: dict[str, Path] = {}
        for number, (name, path) in enumerate({**segments, **old}.items()):
            with suppress(FileNotFoundError):
                copies[name] = Path(shutil.copyfile(path, Path(folder, str(number))))
        yield copies


@contextmanager
def _atomic_file(path: Path) -> Iterator[Path]:
    try:
        handle, name = tempfile.mkstemp(".partial", f".{path.name}.", path.parent)
        os.close(handle)
    except OSError as error:
        raise _write_error(path, error) from error
    temporary = Path(name)
    try:
        yield temporary
        _fsync(temporary)
        temporary.replace(path)
        _fsync(path.parent)
    except OSError as error:
        raise _write_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _rename_existing(path: Path, *, is_allowed: bool) -> Path | None:
    is_there = path.exists()
    if is_there and not is_allowed:
        raise Conflict(f"{path} is there already.", hint="--force keeps it under another name.")
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    renamed = path.with_name(f"{path.name}.before-{stamp}")
    # A log that is left behind would be taken for that of the restored database.
    for ending in (*locks.SQLITE_FILE_SUFFIXES, ""):
        if (file := locks.sibling_path(path, ending)).exists():
            file.rename(locks.sibling_path(renamed, ending))
    return renamed if is_there else None


def _refuse_existing(target: Path, overwrite: bool) -> None:
    if target.exists() and not overwrite:
        raise Conflict(f"{target} is there already.", hint="Choose another name, or --force.")


def _refuse_database_in_use(backup: Path) -> None:
    log = locks.sibling_path(backup, "-wal")
    if log.exists() and log.stat().st_size:
        raise Conflict(
            f"{backup} is a database with commits in {log.name}, not a backup.",
            hint="Make one of it with `gateway backup`.",
        )


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_error(path: Path, error: OSError) -> StoreUnavailable:
    return StoreUnavailable(f"{path} cannot be written: {(error.strerror or repr(error)).lower()}.")
