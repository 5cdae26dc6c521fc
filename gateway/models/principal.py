"""The caller: which headers and parameters carry a credential, its roles and its tenant."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from urllib.parse import unquote_plus

from gateway.models.quota import Quota

# What is kept in place of a credential.
REDACTED = "[redacted]"

# Headers in which SDKs send a provider's key; a gateway key may come in each.
PROVIDER_HEADERS = ("Authorization", "x-api-key", "api-key", "x-goog-api-key", "xi-api-key")

# Where a gateway key may be, in the order in which it is looked for.
CREDENTIAL_HEADERS = ("x-portkey-api-key", "Helicone-Auth", *PROVIDER_HEADERS)

# Query parameters in which SDKs send a provider's key; a gateway key may come in each, after all headers.
CREDENTIAL_PARAMETERS = ("key", "api_key")

# Sent as a key by portkey-ai (Python), which means to send none.
PLACEHOLDER_KEY = "OPENAI_API_KEY"

# How a provider's key is sent: `bearer`, the name of a header, or `{"header": NAME}`.
KeyPlacement = str | Mapping[str, str]

_AUTH_SCHEMES = frozenset({"bearer", "token", "key"})

_SECRET_NAME = re.compile(
    r"secret|passw|passphrase|credential|token|cookie|authorization|authentication|service-account"
    r"|(?:^|[-_.])"
    r"(?:auth|[a-z]*oauth2?|xauth|pwd|jwt|dpop|csrf|xsrf|sig|signature|(?:api|app|auth|access|account|private)?keys?)"
    r"(?:$|[-_.])"
)
_KNOWN_NAMES = frozenset(name.lower() for name in (*CREDENTIAL_HEADERS, *CREDENTIAL_PARAMETERS))
_TOKEN_COUNTS = re.compile(
    r"(?:limit|remaining|reset|usage|used|count|max|input|output|prompt|completion|total)"
)
_NOT_SECRET = frozenset(
    {"idempotency-key", "cache-key", "prompt-cache-key", "surrogate-key", "sec-websocket-key"}
)
# How much of a name is looked at, so that callers cannot fill the cache with long made-up ones.
_MAX_NAME_BYTES = 128


def key_header(auth: KeyPlacement) -> tuple[str, str]:
    """Return the name, in lower case, of the header that carries a key, and what stands before the key."""
    if auth == "bearer":
        return "authorization", "Bearer "
    return (auth if isinstance(auth, str) else auth["header"]).lower(), ""


def strip_scheme(value: str) -> str:
    """Return a field's value without the scheme (Bearer, Token, Key) before a credential."""
    scheme, _, rest = value.partition(" ")
    return rest.strip() if scheme.lower() in _AUTH_SCHEMES else value


def is_secret_header(name: bytes) -> bool:
    """Tell whether a header's name, in any case, says that its value opens something."""
    return _is_secret_header(name[:_MAX_NAME_BYTES])


def is_secret_parameter(name: str) -> bool:
    """Tell whether the name of a query parameter, percent-encoded or not, says that its value opens something."""
    return _is_secret_name(unquote_plus(name))


@lru_cache(maxsize=4096)
def _is_secret_header(name: bytes) -> bool:
    return _is_secret_name(name.decode("latin-1"))


def _is_secret_name(name: str) -> bool:
    lowered = name.strip().lower()
    if lowered in _KNOWN_NAMES:
        return True
    if lowered in _NOT_SECRET or lowered.removeprefix("x-") in _NOT_SECRET:
        return False
    found = set(_SECRET_NAME.findall(lowered))
    if found == {"token"} and not lowered.endswith("token"):
        return _TOKEN_COUNTS.search(lowered) is None
    return bool(found)


class Role(StrEnum):
    """What a key is for. `feedback` may write feedback but read nothing; `admin` may do everything."""

    PROXY = "proxy"
    FEEDBACK = "feedback"
    READ = "read"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class FeedbackScope:
    """One logged request, to be judged by itself or as part of its trace."""

    trace_id: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller behind a request.

    Args:
        name: name of the key that came with it; None where the gateway is open.
        roles: what it may do.
        tenant: the only tenant whose rows it sees and changes; None sees all.
        limits: how much of what it may use; none: as much as it likes.
        scope: the only request that it may judge, for a caller that came with a feedback token: one that has
            no role, and acts for the key in `name`, whose request that was. None: any request.
    """

    name: str | None
    roles: frozenset[Role]
    tenant: str | None = None
    scope: FeedbackScope | None = None
    limits: tuple[Quota, ...] = ()

    def has_role(self, role: Role) -> bool:
        """Tell whether this caller may act in `role`."""
        return role in self.roles or Role.ADMIN in self.roles

    def can_see(self, tenant: str | None) -> bool:
        """Tell whether what belongs to `tenant` exists for this caller."""
        return self.tenant is None or self.tenant == tenant


# Everybody, on a gateway without keys.
OPEN_ACCESS = Principal(name=None, roles=frozenset({Role.ADMIN}))
