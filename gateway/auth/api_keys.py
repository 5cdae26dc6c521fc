"""ApiKeys: from an API key to its principal; create and revoke keys."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from enum import StrEnum

from gateway.auth.allowed_hosts import AllowedHosts
from gateway.errors import NotFound
from gateway.models.clock import now_us
from gateway.models.principal import Principal, Role
from gateway.models.quota import Quota
from gateway.periodic import PeriodicTask
from gateway.store.base import Admin, StoredKey

TOKEN_PREFIX = "gw-"
"""Keys that we make start so, to be told apart from a provider's."""

REFRESH_SECONDS = 2.0
"""How long it may take until a key that was made or revoked elsewhere is known here."""


class KeySource(StrEnum):
    """Where a gateway key is kept: in the configuration file, or in the store by `gateway keys`."""

    FILE = "file"
    STORE = "store"


def hash_token(token: str) -> str:
    """Return the SHA-256 of a token as hex, the only form in which tokens are kept."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


class ApiKeys:
    """The keys that open this gateway.

    Args:
        configured: principals of the configuration by the SHA-256 of their token.
        store: where keys made at run time are.
        is_off: whether nobody needs a key, even if there are some.
        open_to: under which names the gateway may be called while nobody needs one because there is none.
    """

    def __init__(
        self,
        configured: dict[str, Principal],
        store: Admin,
        *,
        is_disabled: bool = False,
        allowed_hosts: AllowedHosts | None = None,
    ) -> None:
        self.allowed_hosts = allowed_hosts or AllowedHosts()
        self._configured = configured
        self._stored: dict[str, Principal] = {}
        self._store = store
        self.is_disabled = is_disabled
        """Whether nobody needs a key because the configuration says so."""
        self.version = 0
        """Changes whenever the keys do."""

    @property
    def is_open(self) -> bool:
        """Whether callers may come in without a key."""
        return self.is_disabled or self._is_empty

    def find(self, token: str) -> Principal | None:
        """Return whom this token stands for, None if it is no gateway key. Compares in constant time."""
        if self._is_empty:
            return None
        digest = hash_token(token)
        for keys in (self._configured, self._stored):
            for known, principal in keys.items():
                if hmac.compare_digest(known, digest):
                    return principal
        return None

    def sources(self) -> dict[Principal, KeySource]:
        """Return the callers whose keys open this gateway, and where the key of each is kept."""
        stored = dict.fromkeys(self._stored.values(), KeySource.STORE)
        return dict.fromkeys(self._configured.values(), KeySource.FILE) | stored

    @property
    def _is_empty(self) -> bool:
        return not (self._configured or self._stored)

    def replace_configured(self, configured: dict[str, Principal]) -> None:
        """Take over the keys of a reloaded configuration."""
        self._configured = configured
        self.version += 1

    async def refresh(self) -> None:
        """Read again which keys the store holds."""
        stored = {
            key.sha256: Principal(key.name, frozenset(map(Role, key.roles)), key.tenant, limits=key.limits)
            for key in await self._store.keys()
            if key.revoked_at_us is None
        }
        if stored != self._stored:
            self._stored = stored
            self.version += 1


def key_refresh_task(keys: ApiKeys) -> PeriodicTask:
    """Return what reads again and again which keys the store holds."""
    return PeriodicTask(
        "key refresh",
        keys.refresh,
        pause_seconds=REFRESH_SECONDS,
        failed="keys made at run time could not be read; those known stay valid",
    )


async def create_key(
    store: Admin, name: str, roles: Sequence[Role], tenant: str | None, limits: Sequence[Quota] = ()
) -> str:
    """Make a key, keep its hash, and return the token, which cannot be had again.

    Raises:
        Conflict: a live key of this name exists.
    """
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    await store.add_key(
        StoredKey(
            name=name,
            sha256=hash_token(token),
            roles=tuple(sorted(roles)),
            tenant=tenant,
            created_at_us=now_us(),
            limits=tuple(limits),
        )
    )
    return token


async def revoke_key(store: Admin, name: str) -> None:
    """Make the live key of this name useless. Raises NotFound if there is none."""
    if not await store.revoke_key(name, now_us()):
        raise NotFound(f"no live key is called {name!r}.", field="name")
