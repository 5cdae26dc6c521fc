"""Database URLs without their passwords, and loopback hosts."""

import ipaddress
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

SQLITE_PREFIX = "sqlite:///"
POSTGRES_PREFIXES = ("postgresql://", "postgres://")

# Path prefixes that are never forwarded, whether or not an API serves them.
OWN_PREFIXES = (
    "/v1/feedback", "/v1/request", "/v1/logs", "/v1/analytics",
    "/langfuse", "/langsmith", "/mlflow", "/tensorzero",
    "/api", "/feedback", "/ui", "/f", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/widget.js",
)  # fmt: skip


def is_server_url(url: str) -> bool:
    return url.startswith(POSTGRES_PREFIXES)


def database_name(url: str) -> str:
    """Return the file's absolute path, or `postgresql://HOST/DATABASE`."""
    if not is_server_url(url):
        return str(Path(url.removeprefix(SQLITE_PREFIX)).absolute())
    host = urlsplit(url).netloc.rpartition("@")[2] or _query_parameter(url, "host") or "localhost"
    return f"postgresql://{host}/{_database_in_path(url)}"


def local_database_name(url: str) -> str:
    # One for each database and schema on a server, to name local files.
    schema = _query_parameter(url, "options")
    digest = sha256(f"{database_name(url)} {schema}".encode()).hexdigest()[:8]
    safe = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in _database_in_path(url))
    return f"{safe}-{digest}"


def database_password(url: str) -> str | None:
    if not is_server_url(url):
        return None
    return urlsplit(url).password or _query_parameter(url, "password") or None


def _database_in_path(url: str) -> str:
    parts = urlsplit(url)
    return unquote(parts.path.lstrip("/")) or _query_parameter(url, "dbname") or parts.username or "postgres"


def _query_parameter(url: str, parameter: str) -> str:
    return parse_qs(urlsplit(url).query).get(parameter, [""])[0]


def is_loopback(host: str) -> bool:
    name = host.strip().strip("[]").lower()
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
