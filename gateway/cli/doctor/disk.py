"""Room on the disk, and whether it is one that a database can be on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from gateway.cli.doctor.findings import Deployment, Finding, ok, problem, warning
from gateway.cli.table import mebibytes
from gateway.config.models import MIB

LEAST_BYTES = 100 * MIB
"""With less than this free, rows soon have nowhere to go."""

SPARE_BYTES = 1024 * MIB
LONG_LOG_BYTES = 256 * MIB
"""Four times what the log of a busy gateway is; see docs/storage.md."""

_MOUNTS = Path("/proc/self/mounts")
_REMOTE = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "glusterfs", "lustre", "fuse.sshfs", "fuse.s3fs")


def check_disk(deployment: Deployment) -> Iterator[Finding]:
    """There is room for the database to grow and to be copied, and its log is not held up."""
    folder, database = deployment.database.parent, deployment.database
    if not folder.is_dir():
        return
    free = shutil.disk_usage(folder).free
    size = database.stat().st_size if database.exists() else 0
    says = f"{mebibytes(free, 0)} free"
    if size:
        says += f", the database has {mebibytes(size, 0)}"
    if free < LEAST_BYTES:
        yield problem("disk", f"{says}: soon rows have nowhere to go.", "Make room, or move the database.")
    elif free < max(SPARE_BYTES, size):
        yield warning(
            "disk",
            f"{says}: too little for `gateway compact`, or for a backup on the same disk.",
            "Make room, or move the database, before it is urgent.",
        )
    else:
        yield ok("disk", says)
    yield from _check_log(database)
    yield from _check_kind(folder)


def _check_log(database: Path) -> Iterator[Finding]:
    log = database.with_name(f"{database.name}-wal")
    size = log.stat().st_size if log.exists() else 0
    if size > LONG_LOG_BYTES:
        yield warning(
            "disk",
            f"{log.name} has {mebibytes(size, 0)}: somebody has read for long in an older state of the database.",
            "End long queries of other programs on it; `gateway compact` then empties it.",
        )


def _check_kind(folder: Path) -> Iterator[Finding]:
    kind = _file_system_of(folder)
    if kind is not None and kind.startswith(_REMOTE):
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
