"""From the URL of a database to what it may be called before people: its password is never said."""

from __future__ import annotations

from hashlib import sha256
from urllib.parse import parse_qs, urlsplit

SCHEMES = ("postgresql://", "postgres://")


def is_postgres(url: str) -> bool:
    """Tell whether a URL names a PostgreSQL database."""
    return url.startswith(SCHEMES)


def name_of(url: str) -> str:
    """Return host and name of a database, such as `db.example.com/gateway`."""
    parts = urlsplit(url)
    _, _, place = parts.netloc.rpartition("@")
    given = parse_qs(parts.query)
    host = place or given.get("host", ["localhost"])[0]
    database = parts.path.lstrip("/") or given.get("dbname", [parts.username or ""])[0]
    return f"{host}/{database}"


def local_name_of(url: str) -> str:
    """Return a name for files that belong to a database and lie here: the same for the same database, whoever
    connects to it, and another for each other."""
    schema = parse_qs(urlsplit(url).query).get("options", [""])[0]
    digest = sha256(f"{name_of(url)} {schema}".encode()).hexdigest()[:8]
    database = name_of(url).rpartition("/")[2]
    safe = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in database)
    return f"{safe or 'postgres'}-{digest}"
