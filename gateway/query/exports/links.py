"""ExportLinks: what opens one export's file for a while, to whoever holds it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time

from gateway.errors import Forbidden
from gateway.store.base import ExportStore

LINK_SECONDS = 3600
"""How long a link opens its file."""

_KEY_BYTES = 32


class ExportLinks:
    """Signs links by a key that the store keeps, so that they outlive the process and hold for its neighbours."""

    def __init__(self, store: ExportStore) -> None:
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
            raise Forbidden("this link opens nothing.", field="signature", hint=_ASK_ANEW)
        if int(expires_at) <= time.time():
            raise Forbidden("this link has expired.", field="expires", hint=_ASK_ANEW)

    async def _signature(self, export_id: str, expires_at: str) -> str:
        if self._key is None:
            self._key = await self._store.link_key(secrets.token_bytes(_KEY_BYTES))
        message = f"{export_id} {expires_at}".encode(errors="replace")
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()


_ASK_ANEW = "Ask for the download again."
