"""Checks of storage: file permissions, disk, database, and feedback that waits or has a wrong scale."""

import os
import re
import shutil
from collections.abc import Iterator
from glob import escape
from pathlib import Path

from gateway.cli.doctor.findings import Deployment, Finding, ok, problem, warning
from gateway.cli.output import format_mebibytes
from gateway.config import Config
from gateway.config.fields import SHA256_PREFIX
from gateway.config.models import MIB
from gateway.errors import StoreUnavailable
from gateway.models.addresses import database_name, database_password, is_server_url
from gateway.models.clock import format_rfc3339, now_us
from gateway.recording.freshness import MAX_BEHIND_MS, Freshness
from gateway.store import StoreInfo, journal_root
from gateway.store.journal_files import all_segments

_OTHER_USERS_MASK = 0o077

# With less free, rows soon cannot be stored.
MIN_FREE_BYTES = 100 * MIB
SPARE_FREE_BYTES = 1024 * MIB

# Four times the write-ahead log of a busy gateway; see docs/storage.md.
LARGE_WAL_BYTES = 256 * MIB

_MOUNTS = Path("/proc/self/mounts")
_NETWORK_FILE_SYSTEM = re.compile(r"nfs|cifs|smb|9p|afs|ceph|glusterfs|lustre|fuse\.(sshfs|s3fs)")

# Clocks of two machines may differ this much.
_CLOCK_SKEW_US = 60_000_000

# Waiting ids that are printed.
MAX_SHOWN_IDS = 3


def check_files(deployment: Deployment) -> Iterator[Finding]:
    """Check that only the owner can read the database, and the configuration if it holds secrets."""
    yield from _check_folder(deployment.database.parent)
    beside = sorted(deployment.database.parent.glob(f"{escape(deployment.database.name)}*"))
    open_files = [file for file in beside if file.is_file() and _is_readable_by_others(file)]
    for file in open_files:
        fault = f"{file} can be read by others: it holds prompts and answers."
        yield problem("files", fault, f"chmod 600 {file}")
    if beside and not open_files:
        yield ok("files", "the database is readable by its owner alone")
    yield from _check_configuration(deployment)


def _check_folder(folder: Path) -> Iterator[Finding]:
    if not folder.is_dir():
        yield problem("files", f"the database's folder {folder} does not exist.", f"mkdir -p {folder}")
    elif not os.access(folder, os.W_OK | os.X_OK):
        fault = f"{folder} cannot be written by this user: SQLite and waiting rows need it."
        fix = f"chown it to the user of the gateway, or run this as that user: {folder}"
        yield problem("files", fault, fix)


def _check_configuration(deployment: Deployment) -> Iterator[Finding]:
    file = deployment.config_file
    in_clear = list(_plaintext_secrets(deployment))
    if not in_clear:
        yield ok("files", f"no secret is in {file.name}")
        return
    named = ", ".join(in_clear)
    if _is_readable_by_others(file):
        fault = f"{file} can be read by others, and holds secrets: {named}."
        fix = f"chmod 600 {file}; better, write ${{VARIABLE}} and set it where the gateway is started"
        yield problem("files", fault, fix)
    else:
        fault = f"{file} holds secrets: {named}."
        fix = "Write ${VARIABLE} and set it where the gateway is started, or sha256: and the hash of a key."
        yield warning("files", fault, fix)


def _plaintext_secrets(deployment: Deployment) -> Iterator[str]:
    text, config = deployment.config_file.read_text("utf-8"), deployment.config
    secrets = {f"keys.{key.name}": key.key for key in config.keys}
    secrets |= {f"providers.{name}.api_key": p.api_key for name, p in config.providers.items() if p.api_key}
    secrets |= {f"feedback.tokens.keys[{n}]": key for n, key in enumerate(config.feedback.tokens.keys)}
    values = {name: secret.get_secret_value() for name, secret in secrets.items()}
    if (password := database_password(config.storage.url)) is not None:
        values["storage.url"] = password
    return (name for name, value in values.items() if value in text and not value.startswith(SHA256_PREFIX))


def _is_readable_by_others(file: Path) -> bool:
    return bool(file.stat().st_mode & _OTHER_USERS_MASK)


def check_disk(deployment: Deployment) -> Iterator[Finding]:
    """Check that the database can grow and be copied, and that its write-ahead log is short."""
    folder, database = deployment.database.parent, deployment.database
    if not folder.is_dir():
        return
    free = shutil.disk_usage(folder).free
    size = database.stat().st_size if database.exists() else 0
    says = f"{format_mebibytes(free, 0)} free"
    if size:
        says += f", the database has {format_mebibytes(size, 0)}"
    if free < MIN_FREE_BYTES:
        yield problem("disk", f"{says}: rows soon cannot be stored.", "Make room, or move the database.")
    elif free < max(SPARE_FREE_BYTES, size):
        fault = f"{says}: too little for `gateway compact`, or for a backup on the same disk."
        yield warning("disk", fault, "Make room, or move the database, before it is urgent.")
    else:
        yield ok("disk", says)
    yield from _check_wal(database)
    yield from _check_file_system(folder)


def _check_wal(database: Path) -> Iterator[Finding]:
    log = database.with_name(f"{database.name}-wal")
    size = log.stat().st_size if log.exists() else 0
    if size > LARGE_WAL_BYTES:
        fault = (
            f"{log.name} has {format_mebibytes(size, 0)}: another program reads an old state of the database."
        )
        yield warning("disk", fault, "End long queries of other programs; `gateway compact` then empties it.")


def _check_file_system(folder: Path) -> Iterator[Finding]:
    kind = _file_system_of(folder)
    if kind is not None and _NETWORK_FILE_SYSTEM.match(kind):
        fault = f"{folder} is on a network file system ({kind}), where the locks of the database do not work."
        yield problem("disk", fault, "Put the database on a local disk.")


def _file_system_of(folder: Path) -> str | None:
    try:
        mounts = [line.split() for line in _MOUNTS.read_text("utf-8", "replace").splitlines()]
    except OSError:
        return None
    resolved = str(folder.resolve())
    over = [(at, kind) for _, at, kind, *_ in mounts if f"{resolved}/".startswith(f"{at.rstrip('/')}/")]
    return max(over, key=lambda each: len(each[0]), default=(None, None))[1]


def check_database(deployment: Deployment) -> Iterator[Finding]:
    """Check that the database is sound and of this version, and that no rows wait beside it."""
    inspection = deployment.inspection
    if inspection is None:
        yield ok("database", "there is none yet; the gateway creates it when it starts")
        return
    if isinstance(inspection, StoreUnavailable):
        yield problem("database", str(inspection), _database_remedy(deployment.config.storage.url))
        return
    if inspection.lacking:
        fault = f"it is of an earlier version, by {inspection.lacking} migrations."
        yield warning("database", fault, "Take a backup; the next start of the gateway migrates it.")
    else:
        yield ok("database", "it is sound and of this version")
    storage = deployment.config.storage
    yield _check_journal(journal_root(storage.url, Path(storage.local_dir)))
    yield from _check_clock(inspection.newest_at_us)


def _check_journal(root: Path) -> Finding:
    segments = all_segments(root)
    size = f"{format_mebibytes(sum(segment.size() for segment in segments), 1)} in {len(segments):,} files"
    freshness = Freshness(root, None, 0.0)
    try:
        behind_ms = freshness.behind_ms()
    finally:
        freshness.close()
    if behind_ms > MAX_BEHIND_MS:
        fault = f"{size}; its oldest row has waited for {behind_ms / 1000:,.0f} s."
        fix = (
            "See /readyz for the reason; rows are stored when the database is writable, or at the next start."
        )
        return warning("journal", fault, fix)
    return ok("journal", f"{size}; no row waits" if not behind_ms else f"{size}; rows are being stored")


def _database_remedy(url: str) -> str:
    if is_server_url(url):
        return f"Check that the server runs and accepts this user: `psql {database_name(url)}`."
    return "If it is damaged, put a backup in its place: `gateway restore`."


def _check_clock(newest_at_us: int | None) -> Iterator[Finding]:
    if newest_at_us is not None and newest_at_us > now_us() + _CLOCK_SKEW_US:
        fault = f"the latest request is from {format_rfc3339(newest_at_us)}, which is in the future."
        fix = "Set this machine's clock, and keep it with NTP; rows from the future come first in every list."
        yield warning("clock", fault, fix)


def check_feedback(deployment: Deployment) -> Iterator[Finding]:
    """Check that no feedback waits for long, and that no thumbs are stored as grades."""
    inspection = deployment.inspection
    if not isinstance(inspection, StoreInfo):
        return
    found = inspection.feedback
    if not found.waiting and not found.misread:
        yield ok("feedback", "none has waited for more than an hour")
    if found.waiting:
        awaited = ", ".join(map(repr, found.awaited[:MAX_SHOWN_IDS]))
        others = " and others" if len(found.awaited) > MAX_SHOWN_IDS else ""
        yield warning(
            "feedback",
            f"entries that have waited for more than an hour: {found.waiting:,}. Nothing is logged under "
            f"{awaited}{others}.",
            "See GET /api/v1/feedback?is_joined=false, and compare the ids with x-portkey-trace-id and helicone-id "
            "of the responses.",
        )
    for key_name, count in found.misread:
        whose = "callers without a key" if key_name is None else f"the key {key_name!r}"
        only = "" if key_name is None else f" --key {key_name}"
        is_thumbs = _portkey_scale_of(deployment.config, key_name) == "thumbs"
        yield warning(
            "feedback",
            f"{whose} gave {count:,} grades, all 0 or 1: scores are 0 and 0.1; thumbs would score -1 and 1.",
            f"{'' if is_thumbs else 'If they are thumbs, set portkey_scale: thumbs for it, then: '}"
            f"`gateway feedback rescale --scale thumbs{only}`",
        )


def _portkey_scale_of(config: Config, key_name: str | None) -> str:
    of_key = next((key.portkey_scale for key in config.keys if key.name == key_name), None)
    return of_key or config.feedback.portkey_scale
