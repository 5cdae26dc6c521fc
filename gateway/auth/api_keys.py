"""ApiKeys: from an API key to its principal; create and revoke keys."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from enum import StrEnum

from gateway.auth.allowed_hosts import AllowedHosts
from gateway.errors import NotFound
from gateway.models.clock import now_us
from gateway.models.principal import Principal, Role
from gateway.models.quota import Quota
from gateway.periodic import PeriodicTask
from gateway.store.base import Admin, StoredKey

# Tells a gateway key from a provider's.
TOKEN_PREFIX = "gw-"

# Longest time until a key that another process made or revoked is known here.
REFRESH_SECONDS = 2.0


class KeySource(StrEnum):
    FILE = "file"
    STORE = "store"


def hash_token(token: str) -> str:
    """Return the SHA-256 as hex; tokens are stored in no other form."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


class ApiKeys:
    """Gateway keys of the configuration, by their SHA-256, and of the store.

    A reload of the configuration replaces `configured` and `allowed_hosts`.
    """

    def __init__(
        self,
        configured: Mapping[str, Principal],
        store: Admin,
        *,
        is_disabled: bool = False,
        allowed_hosts: AllowedHosts | None = None,
    ) -> None:
        self.allowed_hosts = allowed_hosts or AllowedHosts()
        self.configured = configured
        self._stored: dict[str, Principal] = {}
        self._store = store
        self.is_disabled = is_disabled

    @property
    def is_open(self) -> bool:
        return self.is_disabled or not any(self.key_sets())

    def find(self, token: str) -> Principal | None:
        key_sets = self.key_sets()
        if not any(key_sets):
            return None
        digest = hash_token(token)
        for keys in key_sets:
            for known, principal in keys.items():
                # In constant time, so that response times tell nothing about the keys.
                if hmac.compare_digest(known, digest):
                    return principal
        return None

    def find_hashed(self, digest: str) -> Principal | None:
        """Return the principal of a key, given its SHA-256 as hex."""
        return next((keys[digest] for keys in self.key_sets() if digest in keys), None)

    def is_valid(self, principal: Principal, role: Role) -> bool:
        """Tell whether a caller's key still exists and has a role, for responses that last."""
        if principal.name is None:
            return self.is_open
        of_key = (
            known for keys in self.key_sets() for known in keys.values() if known.name == principal.name
        )
        return any(known.has_role(role) and known.tenant == principal.tenant for known in of_key)

    def sources(self) -> dict[Principal, KeySource]:
        stored = dict.fromkeys(self._stored.values(), KeySource.STORE)
        return dict.fromkeys(self.configured.values(), KeySource.FILE) | stored

    def key_sets(self) -> tuple[Mapping[str, Principal], Mapping[str, Principal]]:
        """Return the configured and the stored keys; each is another object once it has changed."""
        return self.configured, self._stored

    async def create(self, name: str, roles: Sequence[Role], tenant: str | None) -> str:
        """Store a key and return its token. Raises Conflict if a live key has this name."""
        token = await create_key(self._store, name, roles, tenant)
        await self.refresh()
        return token

    async def revoke(self, name: str) -> None:
        """End a stored key. Raises NotFound."""
        await revoke_key(self._store, name)
        await self.refresh()

    async def refresh(self) -> None:
        stored = {
            key.sha256: Principal(key.name, frozenset(map(Role, key.roles)), key.tenant, limits=key.limits)
            for key in await self._store.keys()
            if key.revoked_at_us is None
        }
        if stored != self._stored:
            self._stored = stored


def key_refresh_task(keys: ApiKeys) -> PeriodicTask:
    failed = "keys made at run time could not be read; those known stay valid"
    return PeriodicTask("key refresh", keys.refresh, pause_seconds=REFRESH_SECONDS, failed=failed)


async def create_key(
    store: Admin, name: str, roles: Sequence[Role], tenant: str | None, limits: Sequence[Quota] = ()
) -> str:
    """Store a key and return its token. Raises Conflict if a live key has this name."""
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    stored = StoredKey(
        name=name,
        sha256=hash_token(token),
        roles=tuple(sorted(roles)),
        tenant=tenant,
        created_at_us=now_us(),
        limits=tuple(limits),
    )
    await store.add_key(stored)
    return token


async def revoke_key(store: Admin, name: str) -> None:
    if not await store.revoke_key(name, now_us()):
        raise NotFound(f"no live key is called {name!r}.", field="name")
