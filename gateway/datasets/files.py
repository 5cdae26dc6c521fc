"""ExportFiles and ExportLinks: the folder of export files, and signed links that open one."""

from __future__ import annotations

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


class ExportFiles:
    """Files by name. One has its name only once it is whole and on the disk; until then it is a part."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, name: str) -> BinaryIO:
        """Open an empty part."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        handle = os.open(self._part(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        return os.fdopen(handle, "wb")

    def finish(self, file: BinaryIO, name: str) -> None:
        """Give a part its name, once it is on the disk."""
        file.flush()
        os.fsync(file.fileno())
        self._part(name).rename(self.path(name))
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def path(self, name: str) -> Path:
        """Return where a whole file is."""
        return self._folder / name

    def remove(self, name: str) -> None:
        """Remove a file, whole or in part. What cannot be removed now is tried again when it is old."""
        with suppress(OSError):
            self.path(name).unlink(missing_ok=True)
        self.remove_part(name)

    def remove_part(self, name: str) -> None:
        """Remove a part, in the same way."""
        with suppress(OSError):
            self._part(name).unlink(missing_ok=True)

    def remove_older(self, seconds: float) -> None:
        """Remove what was last written before this time, in seconds since the epoch."""
        for file in self._folder.glob("*"):
            with suppress(FileNotFoundError):
                if file.stat().st_mtime < seconds:
                    file.unlink()

    def _part(self, name: str) -> Path:
        return self._folder / f"{name}{_PART_SUFFIX}"


LINK_SECONDS = 3600
"""How long a link opens its file."""

_KEY_BYTES = 32


class ExportLinks:
    """Signs links by a key that the store keeps, so that they outlive the process and hold for its neighbours."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._key: bytes | None = None

    async def sign(self, export_id: str) -> tuple[int, str]:
        """Return when a new link ends, in seconds since the epoch, and the signature that proves it."""
        expires_at = int(time.time()) + LINK_SECONDS
        return expires_at, await self._signature(export_id, str(expires_at))

    async def check(self, export_id: str, expires_at: str, signature: str) -> None:
        """Raise Forbidden unless these are a link's to this export, and its time has not come."""
        expected = await self._signature(export_id, expires_at)
        if not hmac.compare_digest(expected.encode(), signature.encode(errors="replace")):
            raise Forbidden("this link opens nothing.", field="signature", hint=_RETRY_HINT)
        if int(expires_at) <= time.time():
            raise Forbidden("this link has expired.", field="expires", hint=_RETRY_HINT)

    async def _signature(self, export_id: str, expires_at: str) -> str:
        if self._key is None:
            self._key = await self._store.link_key(secrets.token_bytes(_KEY_BYTES))
        message = f"{export_id} {expires_at}".encode(errors="replace")
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()


_RETRY_HINT = "Ask for the download again."
