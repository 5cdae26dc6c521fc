"""FeedbackTokens: signed tokens that allow feedback on one request."""

from __future__ import annotations

import hashlib
import hmac
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from gateway.errors import TokenExpired, Unauthorized
from gateway.models.principal import FeedbackScope, Principal, Role

# Every token of this format begins so.
TOKEN_VERSION = "gf1."

_KEY_ID_BYTES = 3
_NO_ROLES: frozenset[Role] = frozenset()


class FeedbackTokens:
    """Issues and verifies feedback tokens; off without keys, which a reload of the configuration replaces."""

    def __init__(self, keys: TokenKeys | None = None) -> None:
        self.keys = keys

    def issue(
        self, scope: FeedbackScope, tenant: str | None, key_name: str | None, expires_at: int | None = None
    ) -> bytes:
        """Return a new token with tenant and key of the request in its scope."""
        assert self.keys is not None
        secret = self.keys.secrets[0]
        expires_at = expires_at or self.keys.expires_at()
        claims = orjson.dumps((expires_at, scope.trace_id, scope.request_id, tenant, key_name))
        signed = secret.prefix + _encode(claims)
        return signed + b"." + secret.sign(signed)

    def is_token(self, text: str) -> bool:
        return text.startswith(TOKEN_VERSION) and self.keys is not None

    def read(self, token: str) -> Principal:
        signed, _, mac = token.encode("utf-8", "surrogateescape").rpartition(b".")
        secrets = () if self.keys is None else self.keys.secrets
        if not any(secret.has_signed(signed, mac) for secret in secrets):
            raise Unauthorized(
                "the feedback token is not valid.",
                hint="It may have been cut off, or be from another gateway.",
            )
        expires_at, trace_id, request_id, tenant, key_name = orjson.loads(_decode(signed.rpartition(b".")[2]))
        if expires_at <= time.time():
            at = datetime.fromtimestamp(expires_at, UTC)
            raise TokenExpired(f"the feedback token expired on {at.day} {at:%B %Y at %H:%M} UTC.", expires_at)
        return Principal(key_name, _NO_ROLES, tenant, FeedbackScope(trace_id, request_id))


class _SigningKey:
    def __init__(self, secret: str) -> None:
        # Copying a keyed hash is cheaper than keying one for each token.
        self._keyed = hmac.new(secret.encode(), digestmod=hashlib.sha256)
        self.prefix = TOKEN_VERSION.encode() + _encode(self._mac(b"key id")[:_KEY_ID_BYTES]) + b"."

    def sign(self, text: bytes) -> bytes:
        return _encode(self._mac(text))

    def has_signed(self, text: bytes, mac: bytes) -> bool:
        return text.startswith(self.prefix) and hmac.compare_digest(self.sign(text), mac)

    def _mac(self, text: bytes) -> bytes:
        keyed = self._keyed.copy()
        keyed.update(text)
        return keyed.digest()


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """Secrets, of which the first signs and all are accepted, and how long a token is valid."""

    secrets: tuple[_SigningKey, ...]
    ttl_seconds: int

    @classmethod
    def from_secrets(cls, secrets: Sequence[str], ttl_seconds: int) -> TokenKeys | None:
        """Return the keys of these secrets; None without any."""
        return cls(tuple(map(_SigningKey, secrets)), ttl_seconds) if secrets else None

    def expires_at(self) -> int:
        """Return when a token that is issued now expires, in seconds since the epoch."""
        return int(time.time()) + self.ttl_seconds


def _encode(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _decode(text: bytes) -> bytes:
    return urlsafe_b64decode(text + b"=" * (-len(text) % 4))
