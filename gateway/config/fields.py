"""Types of configuration values with their validation."""

import re
from ipaddress import ip_network
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo, WithJsonSchema
from pydantic.functional_serializers import PlainSerializer

from gateway.models.addresses import OWN_PREFIXES, POSTGRES_PREFIXES, SQLITE_PREFIX
from gateway.models.exchange import PayloadPolicy
from gateway.models.principal import Role, key_header
from gateway.models.quota import Quota, refuse_duplicate_quotas
from gateway.models.webhooks import secret_bytes

# A provider's name is a first path segment, so it cannot be one of the gateway's own.
RESERVED_NAMES = frozenset(prefix.split("/")[1] for prefix in OWN_PREFIXES)

# Begins a key's hash in place of the key.
SHA256_PREFIX = "sha256:"

# How a provider's key is sent: with the Bearer scheme, or in the header of that name.
AUTH_KINDS = ("bearer", "x-api-key", "api-key", "x-goog-api-key")

# In characters.
MIN_SECRET_LENGTH = 32

_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?")
_PROVIDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# RFC 9110, section 5.6.2.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*")
_TOKEN = re.compile(r"[\x21-\x7e]+")
_FRAMING_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection"})

# No message repeats the value, since it may be a secret.


def _http_url(text: str) -> str:
    if not text.isprintable() or " " in text:
        raise ValueError("must be a URL that starts with http:// or https://, without spaces")
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be a URL that starts with http:// or https:// and names a host")
    if parts.query or parts.fragment:
        raise ValueError("must not have a query or fragment")
    if parts.username or parts.password:
        raise ValueError("must not hold a user name or password; use api_key")
    _ = parts.port
    return text.rstrip("/")


def _origin(text: str) -> str:
    url = _http_url(text)
    if urlsplit(url).path:
        raise ValueError("must be an origin without a path, such as https://llm.example.com")
    return url.lower()


def _page_origin(text: str) -> str:
    if text == "*":
        return text
    if "*" in text:
        raise ValueError("must be an exact origin, or * for all of them")
    origin = _origin(text)
    # Browsers leave out the default port.
    return origin.removesuffix(":443" if origin.startswith("https:") else ":80")


def _host_name(name: str) -> str:
    if not _HOST_NAME.fullmatch(name):
        raise ValueError("must be the name of a host, such as gateway.example.com, without scheme and port")
    return name.lower()


def _off_as_text(value: object) -> object:
    return "off" if value is False else value


def _reject_boolean(value: object) -> object:
    # YAML reads yes and on as true, which pydantic would take for the number 1.
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def _store_url(url: str) -> str:
    if url.startswith(POSTGRES_PREFIXES):
        _check_postgres_url(url)
    elif not url.startswith(SQLITE_PREFIX) or url == SQLITE_PREFIX:
        raise ValueError("must be sqlite:/// and a file name, or postgresql://USER@HOST/DATABASE")
    return url


def _check_postgres_url(url: str) -> None:
    if "#" in url or " " in url or not url.isprintable():
        raise ValueError("must spell #, spaces and the like as %23, %20 and so on, in a password too")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ValueError("must be postgresql://USER@HOST:PORT/DATABASE, with a port of digits") from error
    if not parts.path.strip("/") or "/" in parts.path.strip("/"):
        raise ValueError("must name the database behind the host: postgresql://USER@HOST/DATABASE")


def _provider_name(name: str) -> str:
    if name in RESERVED_NAMES or not _PROVIDER_NAME.fullmatch(name):
        raise ValueError(
            "a provider's name must be letters, digits, '-', '_' and '.', start with a letter or digit, "
            f"and be none of {', '.join(sorted(RESERVED_NAMES))}"
        )
    return name


def _header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name) or name.lower() in _FRAMING_HEADERS:
        raise ValueError(f"must be the name of a header, and none of {', '.join(sorted(_FRAMING_HEADERS))}")
    return name


def _header_value(value: str) -> str:
    if not _HEADER_VALUE.fullmatch(value):
        raise ValueError("must be printable ASCII on one line")
    return value


def _key_value(key: SecretStr) -> SecretStr:
    token = key.get_secret_value()
    if not _TOKEN.fullmatch(token):
        raise ValueError("must be printable ASCII without spaces, and not empty")
    if token.startswith(SHA256_PREFIX) and not re.fullmatch(rf"{SHA256_PREFIX}[0-9a-f]{{64}}", token):
        raise ValueError(f"must have 64 hex digits in lower case after {SHA256_PREFIX}")
    return key


def _auth(auth: object) -> object:
    if isinstance(auth, dict):
        if auth.keys() != {"header"} or not isinstance(auth["header"], str):
            raise ValueError("must be {header: NAME}, with the name of a header")
        return {"header": _header_name(auth["header"])}
    if auth not in AUTH_KINDS:
        raise ValueError(f"must be {', '.join(AUTH_KINDS)}, or {{header: NAME}} for any other header")
    return auth


def _without_key_header(headers: dict[str, str], info: ValidationInfo) -> dict[str, str]:
    name, _ = key_header(info.data.get("auth", "bearer"))
    has_key = info.data.get("api_key") is not None or info.data.get("api_keys")
    if has_key and name in map(str.lower, headers):
        raise ValueError(f"must not have {name}, in which api_key is sent; leave out one of the two")
    return headers


def _signing_secret(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value()) < MIN_SECRET_LENGTH:
        raise ValueError(
            f"must be at least {MIN_SECRET_LENGTH} characters long, such as `openssl rand -hex 32` makes"
        )
    return secret


def _webhook_secret(secret: SecretStr) -> SecretStr:
    secret_bytes(secret.get_secret_value())
    return secret


def _host_or_network(text: str) -> str:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return _host_name(text)
    return text


def _distinct_limits(limits: tuple[Quota, ...]) -> tuple[Quota, ...]:
    refuse_duplicate_quotas(limits)
    return limits


def _route_name(name: str) -> str:
    if not _PROVIDER_NAME.fullmatch(name):
        raise ValueError(
            "a route's name must be letters, digits, '-', '_' and '.', and start with a letter or digit"
        )
    return name


HttpUrl = Annotated[str, AfterValidator(_http_url)]
Origin = Annotated[str, AfterValidator(_origin)]
HostName = Annotated[str, AfterValidator(_host_name)]
PageOrigin = Annotated[str, AfterValidator(_page_origin)]
Integer = Annotated[int, BeforeValidator(_reject_boolean)]
Number = Annotated[float, BeforeValidator(_reject_boolean)]
Seconds = Annotated[float, Field(gt=0, le=86_400), BeforeValidator(_reject_boolean)]
Dollars = Annotated[float, Field(ge=0), BeforeValidator(_reject_boolean)]
Headers = dict[Annotated[str, AfterValidator(_header_name)], Annotated[str, AfterValidator(_header_value)]]
ProviderHeaders = Annotated[Headers, AfterValidator(_without_key_header)]
KeyValue = Annotated[SecretStr, AfterValidator(_key_value)]
ProviderKey = Annotated[KeyValue | None, BeforeValidator(lambda key: None if key == "" else key)]
Auth = Annotated[
    str | dict[str, str],
    BeforeValidator(_auth),
    WithJsonSchema({"anyOf": [{"enum": [*AUTH_KINDS]}, {"type": "object"}]}),
]
SigningSecret = Annotated[SecretStr, AfterValidator(_signing_secret)]
WebhookSecret = Annotated[SecretStr, AfterValidator(_webhook_secret)]
HostOrNetwork = Annotated[str, AfterValidator(_host_or_network)]
LimitText = Annotated[
    Quota,
    BeforeValidator(lambda text: Quota.parse(text) if isinstance(text, str) else text),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["600 requests/minute"]}),
]
LimitTexts = Annotated[tuple[LimitText, ...], AfterValidator(_distinct_limits)]
Payloads = Annotated[PayloadPolicy, BeforeValidator(_off_as_text)]
PortkeyScale = Literal["signed", "thumbs"]
AuthMode = Annotated[Literal["keys", "off"], BeforeValidator(_off_as_text)]
StoreUrl = Annotated[str, AfterValidator(_store_url)]
ProviderName = Annotated[str, AfterValidator(_provider_name)]
Roles = Annotated[frozenset[Role], BeforeValidator(lambda role: [role] if isinstance(role, str) else role)]
RouteName = Annotated[str, AfterValidator(_route_name)]
