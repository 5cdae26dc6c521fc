"""What is in the database, and what waits beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gateway.cli.doctor.findings import Deployment, Finding, ok, problem, warning
from gateway.domain.clock import now_us, rfc_3339
from gateway.domain.database_url import is_server, name_of
from gateway.errors import StoreUnavailable
from gateway.store import are_rows_spilled

_SLACK_US = 60_000_000
"""How far clocks of two machines may be apart without anybody minding."""


def check_database(deployment: Deployment) -> Iterator[Finding]:
    """It can be read and is sound, of this version, and has taken all that it was to take."""
    examined = deployment.examined
    if examined is None:
        yield ok("database", "there is none yet; the gateway makes it when it starts")
        return
    if isinstance(examined, StoreUnavailable):
        yield problem("database", str(examined), _remedy(deployment.config.storage.url))
        return
    if examined.lacking:
        yield warning(
            "database",
            f"it is of an earlier version, by {examined.lacking} migrations.",
            "Take a backup; the next start of the gateway brings it up to date.",
        )
    else:
        yield ok("database", "it is sound and of this version")
    storage = deployment.config.storage
    if are_rows_spilled(storage.url, Path(storage.local_dir)):
        yield warning(
            "database",
            "rows wait in a file beside it, since it did not take them.",
            "Look at /readyz of the gateway for why; they are brought in when it takes them, or at the next start.",
        )
    yield from _check_clock(examined.newest_at_us)


def _remedy(url: str) -> str:
    if is_server(url):
        return f"Does a server run there, and does it take this user? `psql {name_of(url)}` tells."
    return "If it is damaged, put a backup in its place: `gateway restore`."


def _check_clock(newest_at_us: int | None) -> Iterator[Finding]:
    if newest_at_us is not None and newest_at_us > now_us() + _SLACK_US:
        yield warning(
            "clock",
            f"the latest request is from {rfc_3339(newest_at_us)}, which is still to come.",
            "Set this machine's clock, and keep it with NTP; rows from the future come first in every list.",
        )
