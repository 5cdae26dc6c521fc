"""Doctor's checks of storage: file permissions, disk, database, and feedback that waits or is misread."""

from __future__ import annotations

import os
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
from gateway.store import StoreInfo, has_journaled_rows

_OTHER_USERS_MASK = 0o077


def check_files(deployment: Deployment) -> Iterator[Finding]:
    """The database, what lies beside it, and the configuration if it holds secrets, are their owner's alone."""
    yield from _check_folder(deployment.database.parent)
    beside = sorted(deployment.database.parent.glob(f"{escape(deployment.database.name)}*"))
    open_files = [file for file in beside if file.is_file() and _is_readable_by_others(file)]
    for file in open_files:
        yield problem(
            "files", f"{file} can be read by others: it holds prompts and answers.", f"chmod 600 {file}"
        )
    if beside and not open_files:
        yield ok("files", "the database is readable by its owner alone")
    yield from _check_configuration(deployment)


def _check_folder(folder: Path) -> Iterator[Finding]:
    if not folder.is_dir():
        yield problem("files", f"the folder {folder} of the database is not there.", f"mkdir -p {folder}")
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield problem(
            "files",
            f"{folder} cannot be written by this user: SQLite and rows that wait need it.",
            f"chown it to the user that the gateway runs as, or run this as that user: {folder}",
        )


def _check_configuration(deployment: Deployment) -> Iterator[Finding]:
    file = deployment.config_file
    in_clear = list(_plaintext_secrets(deployment))
    if not in_clear:
        yield ok("files", f"no secret stands in {file.name}")
        return
    named = ", ".join(in_clear)
    if _is_readable_by_others(file):
        yield problem(
            "files",
            f"{file} can be read by others, and holds secrets: {named}.",
            f"chmod 600 {file}; better, write ${{VARIABLE}} and set it where the gateway is started",
        )
    else:
        yield warning(
            "files",
            f"{file} holds secrets: {named}.",
            "Write ${VARIABLE} and set it where the gateway is started, or sha256: and the hash of a key.",
        )


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


MIN_FREE_BYTES = 100 * MIB
"""With less than this free, rows soon have nowhere to go."""

SPARE_FREE_BYTES = 1024 * MIB
LARGE_WAL_BYTES = 256 * MIB
"""Four times what the log of a busy gateway is; see docs/storage.md."""

_MOUNTS = Path("/proc/self/mounts")
_NETWORK_FILE_SYSTEMS = (
    "nfs",
    "cifs",
    "smb",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "lustre",
    "fuse.sshfs",
    "fuse.s3fs",
)


def check_disk(deployment: Deployment) -> Iterator[Finding]:
    """There is room for the database to grow and to be copied, and its log is not held up."""
    folder, database = deployment.database.parent, deployment.database
    if not folder.is_dir():
        return
    free = shutil.disk_usage(folder).free
    size = database.stat().st_size if database.exists() else 0
    says = f"{format_mebibytes(free, 0)} free"
    if size:
        says += f", the database has {format_mebibytes(size, 0)}"
    if free < MIN_FREE_BYTES:
        yield problem("disk", f"{says}: soon rows have nowhere to go.", "Make room, or move the database.")
    elif free < max(SPARE_FREE_BYTES, size):
        yield warning(
            "disk",
            f"{says}: too little for `gateway compact`, or for a backup on the same disk.",
            "Make room, or move the database, before it is urgent.",
        )
    else:
        yield ok("disk", says)
    yield from _check_wal(database)
    yield from _check_file_system(folder)


def _check_wal(database: Path) -> Iterator[Finding]:
    log = database.with_name(f"{database.name}-wal")
    size = log.stat().st_size if log.exists() else 0
    if size > LARGE_WAL_BYTES:
        yield warning(
            "disk",
            f"{log.name} has {format_mebibytes(size, 0)}: somebody has read for long in an older state of"
            f" the database.",
            "End long queries of other programs on it; `gateway compact` then empties it.",
        )


def _check_file_system(folder: Path) -> Iterator[Finding]:
    kind = _file_system_of(folder)
    if kind is not None and kind.startswith(_NETWORK_FILE_SYSTEMS):
        yield problem(
            "disk",
            f"{folder} is on a network file system ({kind}), where the locks of the database do not work.",
            "Put the database on a local disk.",
        )


def _file_system_of(folder: Path) -> str | None:
    try:
        mounts = [line.split() for line in _MOUNTS.read_text("utf-8", "replace").splitlines()]
    except OSError:
        return None
    resolved = str(folder.resolve())
    over = [
        (point, kind) for _, point, kind, *_ in mounts if f"{resolved}/".startswith(f"{point.rstrip('/')}/")
    ]
    return max(over, key=lambda each: len(each[0]), default=(None, None))[1]


_CLOCK_SKEW_US = 60_000_000
"""How far clocks of two machines may be apart without anybody minding."""


def check_database(deployment: Deployment) -> Iterator[Finding]:
    """It can be read and is sound, of this version, and has taken all that it was to take."""
    inspection = deployment.inspection
    if inspection is None:
        yield ok("database", "there is none yet; the gateway makes it when it starts")
        return
    if isinstance(inspection, StoreUnavailable):
        yield problem("database", str(inspection), _database_remedy(deployment.config.storage.url))
        return
    if inspection.lacking:
        yield warning(
            "database",
            f"it is of an earlier version, by {inspection.lacking} migrations.",
            "Take a backup; the next start of the gateway brings it up to date.",
        )
    else:
        yield ok("database", "it is sound and of this version")
    storage = deployment.config.storage
    if has_journaled_rows(storage.url, Path(storage.local_dir)):
        yield warning(
            "database",
            "rows wait in a file beside it, since it did not take them.",
            "Look at /readyz of the gateway for why; they are brought in when it takes them, or at the next start.",
        )
    yield from _check_clock(inspection.newest_at_us)


def _database_remedy(url: str) -> str:
    if is_server_url(url):
        return f"Does a server run there, and does it take this user? `psql {database_name(url)}` tells."
    return "If it is damaged, put a backup in its place: `gateway restore`."


def _check_clock(newest_at_us: int | None) -> Iterator[Finding]:
    if newest_at_us is not None and newest_at_us > now_us() + _CLOCK_SKEW_US:
        yield warning(
            "clock",
            f"the latest request is from {format_rfc3339(newest_at_us)}, which is still to come.",
            "Set this machine's clock, and keep it with NTP; rows from the future come first in every list.",
        )


MAX_SHOWN_IDS = 3
"""How many ids are named."""


def check_feedback(deployment: Deployment) -> Iterator[Finding]:
    """None waits for long, and no thumbs are read as grades."""
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
            "See GET /api/v1/feedback?is_joined=false, and hold the ids against x-portkey-trace-id and helicone-id "
            "of the answers that they are about.",
        )
    for key_name, count in found.misread:
        whose = "callers without a key" if key_name is None else f"the key {key_name!r}"
        only = "" if key_name is None else f" --key {key_name}"
        is_thumbs = _portkey_scale_of(deployment.config, key_name) == "thumbs"
        yield warning(
            "feedback",
            f"{whose} gave {count:,} grades, all 0 or 1: they count as 0 and 0.1; thumbs would count as -1 and 1.",
            f"{'' if is_thumbs else 'If they are thumbs, set portkey_scale: thumbs for it, then: '}"
            f"`gateway feedback rescale --scale thumbs{only}`",
        )


def _portkey_scale_of(config: Config, key_name: str | None) -> str:
    of_key = next((key.portkey_scale for key in config.keys if key.name == key_name), None)
    return of_key or config.feedback.portkey_scale
