"""The caller: its credentials, roles and tenant."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from urllib.parse import unquote_plus

from gateway.models.quota import Quota

# Stored in place of a credential.
REDACTED = "[redacted]"

# SDKs send a provider's key in these headers; a gateway key may come in each.
PROVIDER_HEADERS = ("Authorization", "x-api-key", "api-key", "x-goog-api-key", "xi-api-key")

# Headers that a gateway key is read from, in this order.
CREDENTIAL_HEADERS = ("x-portkey-api-key", "Helicone-Auth", *PROVIDER_HEADERS)

# The same as query parameters, read after all headers.
CREDENTIAL_PARAMETERS = ("key", "api_key")

# Browsers can send no header with a WebSocket, so OpenAI's clients there offer the key as a subprotocol.
PROTOCOL_HEADER = "Sec-WebSocket-Protocol"
KEY_PROTOCOL = "openai-insecure-api-key."

# portkey-ai (Python) sends this for no key.
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
_KNOWN_NAMES = frozenset(
    name.lower() for name in (*CREDENTIAL_HEADERS, *CREDENTIAL_PARAMETERS, PROTOCOL_HEADER)
)
_COUNTS = re.compile(r"(?:limit|remaining|reset|usage|used|count|max|input|output|prompt|completion|total)")
_NOT_SECRET = frozenset(
    {"idempotency-key", "cache-key", "prompt-cache-key", "surrogate-key", "sec-websocket-key"}
)
# Cut, so that callers cannot fill the cache with long made-up names.
_MAX_NAME_BYTES = 128


def key_header(auth: KeyPlacement) -> tuple[str, str]:
    """Return the lower-case name of the header with a key, and the key's prefix."""
    if auth == "bearer":
        return "authorization", "Bearer "
    return (auth if isinstance(auth, str) else auth["header"]).lower(), ""


def strip_scheme(value: str) -> str:
    # Bearer, Token or Key.
    scheme, _, rest = value.partition(" ")
    return rest.strip() if scheme.lower() in _AUTH_SCHEMES else value


def key_in_protocols(offered: str) -> str | None:
    """Return the key among the subprotocols that a WebSocket client offers."""
    protocols = (protocol.strip() for protocol in offered.split(","))
    return next(
        (each.removeprefix(KEY_PROTOCOL) for each in protocols if each.startswith(KEY_PROTOCOL)), None
    )


def is_secret_header(name: bytes) -> bool:
    return _is_secret_header(name[:_MAX_NAME_BYTES])


def is_secret_parameter(name: str) -> bool:
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
        return _COUNTS.search(lowered) is None
    return bool(found)


class Role(StrEnum):
    """What a key may do."""

    PROXY = "proxy"
    FEEDBACK = "feedback"
    READ = "read"
    # A person who judges answers in the pages.
    REVIEW = "review"
    ADMIN = "admin"


_IMPLIED_ROLES = {Role.REVIEW: {Role.FEEDBACK, Role.READ}, Role.ADMIN: set(Role)}


# Asked for with each request, and there are few sets of roles.
@lru_cache(maxsize=256)
def _with_implied(roles: frozenset[Role]) -> frozenset[Role]:
    return roles.union(*(_IMPLIED_ROLES.get(own, ()) for own in roles))


@dataclass(frozen=True, slots=True)
class FeedbackScope:
    """The request that a feedback token is for."""

    trace_id: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller behind a request."""

    # Of its key, or of the key that its feedback token was made for; None on an open gateway.
    name: str | None
    roles: frozenset[Role]
    # The only one whose rows it sees and changes; None: all.
    tenant: str | None = None
    # Of a feedback token, whose bearer has no role: the only request that it may give feedback on.
    scope: FeedbackScope | None = None
    limits: tuple[Quota, ...] = ()

    def has_role(self, role: Role) -> bool:
        return role in _with_implied(self.roles)

    def can_see(self, tenant: str | None) -> bool:
        return self.tenant is None or self.tenant == tenant


# Every caller of a gateway without keys.
OPEN_ACCESS = Principal(name=None, roles=frozenset({Role.ADMIN}))
