"""SignIns: sign in to the web pages with a gateway key; cookies, and tokens against forged forms."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from gateway.auth.api_keys import ApiKeys, hash_token
from gateway.errors import Forbidden, Unauthorized
from gateway.models.clock import now_us
from gateway.models.principal import Principal, Role, strip_scheme

COOKIE = "gateway_session"
# The same for the pages at /docs: a cookie for all paths would be forwarded to providers.
DOCS_COOKIE = "gateway_docs_session"
SIGN_IN_SECONDS = 12 * 3600

_NONCE_BYTES = 16
_KEY_BYTES = 32


class SignInStore(Protocol):
    """The part of a store that remembers who is signed in."""

    async def sign_in(self, token_sha256: str, key_sha256: str, now_us: int, expires_at_us: int) -> None: ...

    async def sign_out(self, token_sha256: str) -> None: ...

    async def signed_in_key(self, token_sha256: str, now_us: int) -> str | None: ...

    async def link_key(self, new_key: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class SignIn:
    """A new sign-in: the value of its cookie, the key's name, and how long it lasts."""

    token: str
    name: str | None
    seconds: int = SIGN_IN_SECONDS


class SignIns:
    """Signs people in with a key, for a fixed time; a revoked key ends its sign-ins at once."""

    def __init__(self, keys: ApiKeys, store: SignInStore) -> None:
        self.keys = keys
        self._store = store
        self._secret: bytes | None = None

    async def sign_in(self, key: str) -> SignIn:
        """Return a new sign-in. Raises Unauthorized for an unknown key, Forbidden for one that may not read."""
        principal = self.keys.find(strip_scheme(key.strip()))
        if principal is None:
            raise Unauthorized("no gateway key has this value.", field="key")
        if not principal.has_role(Role.READ):
            raise Forbidden(
                f"the key {principal.name!r} may not read.", hint="Sign in with a key that has the role read."
            )
        # A value of its own each time: one that was set before the sign-in never becomes valid.
        token = secrets.token_urlsafe(_KEY_BYTES)
        now = now_us()
        digest = hash_token(strip_scheme(key.strip()))
        await self._store.sign_in(hash_token(token), digest, now, now + SIGN_IN_SECONDS * 1_000_000)
        return SignIn(token, principal.name)

    async def sign_out(self, token: str) -> None:
        await self._store.sign_out(hash_token(token))

    async def find(self, token: str | None) -> Principal | None:
        """Return who holds this cookie, None where the time is over or the key was revoked."""
        if not token:
            return None
        digest = await self._store.signed_in_key(hash_token(token), now_us())
        return None if digest is None else self.keys.find_hashed(digest)

    async def form_token(self, cookie: str | None) -> str:
        """Return a new token for the forms of a page.

        Args:
            cookie: of the sign-in; None on an open gateway and on the page that signs in.
        """
        # Another text on each page, so that the size of compressed pages tells nothing about the secret part.
        nonce = secrets.token_hex(_NONCE_BYTES)
        return f"{nonce}.{await self._form_signature(cookie, nonce)}"

    async def check_form(self, cookie: str | None, token: str) -> None:
        """Raise Forbidden for a form that is not from a page of this sign-in."""
        nonce, _, signature = token.partition(".")
        expected = await self._form_signature(cookie, nonce)
        if not hmac.compare_digest(expected.encode(), signature.encode(errors="replace")):
            raise Forbidden(
                "this form is from before you signed in, or from another site.",
                field="form_token",
                hint="Load the page again and repeat it.",
            )

    async def _form_signature(self, cookie: str | None, nonce: str) -> str:
        if self._secret is None:
            # Kept in the store, so that forms work in every process and after a restart.
            self._secret = await self._store.link_key(secrets.token_bytes(_KEY_BYTES))
        message = f"form {cookie or ''} {nonce}".encode(errors="replace")
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()


def refuse_foreign_forms(headers: Mapping[str, str]) -> None:
    """Raise Forbidden for a form that a browser sent from a page of another origin."""
    site, origin = headers.get("Sec-Fetch-Site"), headers.get("Origin")
    is_foreign = site not in (None, "same-origin")
    if origin is not None and site is None:
        is_foreign = urlsplit(origin).netloc != headers.get("Host")
    if is_foreign:
        raise Forbidden("this form is from a page of another site.", field="Origin")
