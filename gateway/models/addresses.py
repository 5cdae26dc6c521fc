"""What a database URL names without its password, and which hosts are this machine."""

from __future__ import annotations

import ipaddress
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

SQLITE_PREFIX = "sqlite:///"
POSTGRES_PREFIXES = ("postgresql://", "postgres://")

# Path prefixes that are never forwarded, whether or not an API serves them.
OWN_PREFIXES = (
    "/v1/feedback", "/v1/request", "/v1/logs", "/v1/analytics",
    "/api", "/feedback", "/ui", "/f", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs",
)  # fmt: skip


def is_server_url(url: str) -> bool:
    """Tell whether a URL names a database on a server, and not a file."""
    return url.startswith(POSTGRES_PREFIXES)


def database_name(url: str) -> str:
    """Return what a store is called: the absolute path of its file, or `postgresql://` with host and database."""
    if not is_server_url(url):
        return str(Path(url.removeprefix(SQLITE_PREFIX)).absolute())
    host, database = _database_host(url), _database_in_path(url)
    return f"postgresql://{host}/{database}"


def local_database_name(url: str) -> str:
    """Return a name for files that belong to a database on a server and lie here: the same for the same database
    and schema, whoever connects to it, and another for each other."""
    schema = _query_parameter(url, "options")
    digest = sha256(f"{database_name(url)} {schema}".encode()).hexdigest()[:8]
    safe = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in _database_in_path(url))
    return f"{safe}-{digest}"


def database_password(url: str) -> str | None:
    """Return the password in a URL, if there is one."""
    if not is_server_url(url):
        return None
    return urlsplit(url).password or _query_parameter(url, "password") or None


def _database_host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2] or _query_parameter(url, "host") or "localhost"


def _database_in_path(url: str) -> str:
    parts = urlsplit(url)
    return unquote(parts.path.lstrip("/")) or _query_parameter(url, "dbname") or parts.username or "postgres"


def _query_parameter(url: str, parameter: str) -> str:
    return parse_qs(urlsplit(url).query).get(parameter, [""])[0]


def is_loopback(host: str) -> bool:
    """Tell whether a server that listens on `host` can be reached from this machine only."""
    name = host.strip().strip("[]").lower()
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
