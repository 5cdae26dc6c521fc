"""From the URL of a store to what it may be called before people: its password is never said."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

SQLITE_PREFIX = "sqlite:///"
POSTGRES_PREFIXES = ("postgresql://", "postgres://")


def is_server(url: str) -> bool:
    """Tell whether a URL names a database on a server, and not a file."""
    return url.startswith(POSTGRES_PREFIXES)


def name_of(url: str) -> str:
    """Return what a store is called: the absolute path of its file, or `postgresql://` with host and database."""
    if not is_server(url):
        return str(Path(url.removeprefix(SQLITE_PREFIX)).absolute())
    host, database = _host_of(url), _database_of(url)
    return f"postgresql://{host}/{database}"


def local_name_of(url: str) -> str:
    """Return a name for files that belong to a database on a server and lie here: the same for the same database
    and schema, whoever connects to it, and another for each other."""
    schema = _given(url, "options")
    digest = sha256(f"{name_of(url)} {schema}".encode()).hexdigest()[:8]
    safe = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in _database_of(url))
    return f"{safe}-{digest}"


def password_of(url: str) -> str | None:
    """Return the password in a URL, if there is one."""
    if not is_server(url):
        return None
    return urlsplit(url).password or _given(url, "password") or None


def _host_of(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2] or _given(url, "host") or "localhost"


def _database_of(url: str) -> str:
    parts = urlsplit(url)
    return unquote(parts.path.lstrip("/")) or _given(url, "dbname") or parts.username or "postgres"


def _given(url: str, parameter: str) -> str:
    return parse_qs(urlsplit(url).query).get(parameter, [""])[0]
