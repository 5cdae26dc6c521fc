"""ExportFiles and ExportLinks: the folder of export files, and signed links to them."""

import hashlib
import hmac
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from gateway.errors import Forbidden
from gateway.store.base import Store

_PART_SUFFIX = ".part"

LINK_SECONDS = 3600

_KEY_BYTES = 32
_COPY_BYTES = 1024 * 1024
_RETRY_HINT = "Ask for the download again."


class ExportFiles:
    """Export files by name; an incomplete file has a suffix."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, name: str) -> BinaryIO:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        handle = os.open(self._part(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        return os.fdopen(handle, "wb")

    def resume(self, name: str, earlier: str, size_bytes: int) -> BinaryIO | None:
        """Begin a file with the first bytes of an earlier part; None where these are not here."""
        try:
            with self._part(earlier).open("rb") as part:
                if os.fstat(part.fileno()).st_size < size_bytes:
                    return None
                # A copy, since a runner that lost its lease may still write to the part.
                file = self.begin(f"{name}.copy")
                _copy(part, file, size_bytes)
        except FileNotFoundError:
            return None
        self._part(f"{name}.copy").rename(self._part(name))
        return file

    def finish(self, file: BinaryIO, name: str) -> None:
        file.flush()
        os.fsync(file.fileno())
        self._part(name).rename(self.path(name))
        # The rename is durable only once the folder is synced.
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def path(self, name: str) -> Path:
        return self._folder / name

    def remove(self, name: str) -> None:
        # What cannot be removed now is tried again by `remove_older`.
        with suppress(OSError):
            self.path(name).unlink(missing_ok=True)
        self.remove_part(name)

    def remove_part(self, name: str) -> None:
        with suppress(OSError):
            self._part(name).unlink(missing_ok=True)

    def remove_older(self, seconds: float) -> None:
        """Remove files last written before a time, in seconds since the epoch."""
        for file in self._folder.glob("*"):
            with suppress(FileNotFoundError):
                if file.stat().st_mtime < seconds:
                    file.unlink()

    def _part(self, name: str) -> Path:
        return self._folder / f"{name}{_PART_SUFFIX}"


def _copy(source: BinaryIO, target: BinaryIO, size_bytes: int) -> None:
    left = size_bytes
    while left and (data := source.read(min(left, _COPY_BYTES))):
        target.write(data)
        left -= len(data)
    target.flush()


class ExportLinks:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._key: bytes | None = None

    async def sign(self, export_id: str) -> tuple[int, str]:
        """Return expiry, in seconds since the epoch, and signature of a new link."""
        expires_at = int(time.time()) + LINK_SECONDS
        return expires_at, await self._signature(export_id, str(expires_at))

    async def check(self, export_id: str, expires_at: str, signature: str) -> None:
        """Raise Forbidden for an invalid or expired link."""
        expected = await self._signature(export_id, expires_at)
        if not hmac.compare_digest(expected.encode(), signature.encode(errors="replace")):
            raise Forbidden("this link is not valid.", field="signature", hint=_RETRY_HINT)
        if int(expires_at) <= time.time():
            raise Forbidden("this link has expired.", field="expires", hint=_RETRY_HINT)

    async def _signature(self, export_id: str, expires_at: str) -> str:
        if self._key is None:
            # Kept in the store, so that links work in every process and after a restart.
            self._key = await self._store.link_key(secrets.token_bytes(_KEY_BYTES))
        message = f"{export_id} {expires_at}".encode(errors="replace")
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()
