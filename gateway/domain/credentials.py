"""Credentials: which header fields and query parameters carry one, and what of a value is the credential."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import unquote_plus

REDACTED = "[redacted]"
"""What is kept in place of a credential."""

PROVIDER_HEADERS = ("Authorization", "x-api-key", "api-key", "x-goog-api-key", "xi-api-key")
"""Headers in which SDKs send a provider's key; a gateway key may come in each."""

CREDENTIAL_HEADERS = ("x-portkey-api-key", "Helicone-Auth", *PROVIDER_HEADERS)
"""Where a gateway key may be, in the order in which it is looked for."""

CREDENTIAL_PARAMETERS = ("key", "api_key")
"""Query parameters in which SDKs send a provider's key; a gateway key may come in each, after all headers."""

PLACEHOLDER = "OPENAI_API_KEY"
"""Sent as a key by portkey-ai (Python), which means to send none."""

Auth = str | Mapping[str, str]
"""How a provider's key is sent: `bearer`, the name of a header, or `{"header": NAME}`."""

_SCHEMES = frozenset({"bearer", "token", "key"})

_SECRET_NAME = re.compile(
    r"secret|passw|passphrase|credential|token|cookie|authorization|authentication|service-account"
    r"|(?:^|[-_.])"
    r"(?:auth|[a-z]*oauth2?|xauth|pwd|jwt|dpop|csrf|xsrf|sig|signature|(?:api|app|auth|access|account|private)?keys?)"
    r"(?:$|[-_.])"
)
_KNOWN_NAMES = frozenset(name.lower() for name in (*CREDENTIAL_HEADERS, *CREDENTIAL_PARAMETERS))
_COUNTED_TOKENS = re.compile(
    r"(?:limit|remaining|reset|usage|used|count|max|input|output|prompt|completion|total)"
)
_HARMLESS = frozenset(
    {"idempotency-key", "cache-key", "prompt-cache-key", "surrogate-key", "sec-websocket-key"}
)
_JUDGED_BYTES = 128
"""How much of a name is looked at, so that callers cannot fill the cache with long made-up ones."""


def key_header(auth: Auth) -> tuple[str, str]:
    """Return the name, in lower case, of the header that carries a key, and what stands before the key."""
    if auth == "bearer":
        return "authorization", "Bearer "
    return (auth if isinstance(auth, str) else auth["header"]).lower(), ""


def bare(value: str) -> str:
    """Return a field's value without the scheme (Bearer, Token, Key) before a credential."""
    scheme, _, rest = value.partition(" ")
    return rest.strip() if scheme.lower() in _SCHEMES else value


def is_secret_header(name: bytes) -> bool:
    """Tell whether a header's name, in any case, says that its value opens something."""
    return _is_secret_header(name[:_JUDGED_BYTES])


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
    if lowered in _HARMLESS or lowered.removeprefix("x-") in _HARMLESS:
        return False
    found = set(_SECRET_NAME.findall(lowered))
    if found == {"token"} and not lowered.endswith("token"):
        return _COUNTED_TOKENS.search(lowered) is None
    return bool(found)
