"""What opens this gateway ends here, in whatever header field or query parameter it came."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from urllib.parse import unquote_plus, unquote_to_bytes

from gateway.access.keys import KeyRing
from gateway.access.tokens import VERSION, FeedbackTokens
from gateway.domain.credentials import CREDENTIAL_PARAMETERS, PLACEHOLDER, REDACTED, bare
from gateway.domain.exchange import RawHeaders

FindOurs = Callable[[Iterable[bytes]], Collection[bytes]]
"""Finds, among the values of fields, those that open this gateway."""

_MAX_REMEMBERED = 4096
_NO_CREDENTIALS = frozenset(
    (scheme + word).strip().lower().encode() for scheme in ("", "Bearer ") for word in ("", PLACEHOLDER)
)


class GatewayCredentials:
    """Recognises gateway keys and feedback tokens, valid or not, by their values."""

    def __init__(self, keys: KeyRing, tokens: FeedbackTokens) -> None:
        self._keys = keys
        self._tokens = tokens
        self._version = keys.version
        # Hashes, so that no credential is kept here. Most fields of a caller are the same in each request.
        self._others: set[int] = set()

    def find(self, values: Iterable[bytes]) -> Collection[bytes]:
        """Return those of the values of fields that are such a credential, with or without a scheme."""
        if self._version != self._keys.version:
            self._others.clear()
            self._version = self._keys.version
        others = self._others
        return [value for value in values if hash(value) not in others and self._is_ours(value)]

    def _is_ours(self, value: bytes) -> bool:
        credential = bare(value.decode("utf-8", "surrogateescape"))
        if self._tokens.is_token(credential) or self._keys.find(credential) is not None:
            return True
        # Whether there are tokens at all may change.
        if not credential.startswith(VERSION):
            if len(self._others) >= _MAX_REMEMBERED:
                self._others.clear()
            self._others.add(hash(value))
        return False


def is_no_credential(value: bytes) -> bool:
    """Tell whether the value of a credential field is empty, or a word that stands for none."""
    return value.lower() in _NO_CREDENTIALS


def upstream_target(target: str, find_ours: FindOurs) -> tuple[str, list[bytes]]:
    """Return a request target without what opens the gateway, and the caller's own credentials in its query."""
    path, mark, query = target.partition("?")
    if not mark:
        return target, []
    kept: list[str] = []
    credentials: list[bytes] = []
    parameters = query.split("&")
    for parameter in parameters:
        name, value = _read(parameter)
        is_credential = name in CREDENTIAL_PARAMETERS
        if _is_ours(value, find_ours) or (is_credential and value == PLACEHOLDER.encode()):
            continue
        kept.append(parameter)
        if is_credential and value:
            credentials.append(value)
    if len(kept) == len(parameters):
        return target, credentials
    return f"{path}?{'&'.join(kept)}" if kept else path, credentials


def path_to_keep(path: str, find_ours: FindOurs) -> str:
    """Return a path and query to be logged: what opens the gateway replaced, whatever its parameter is called."""
    before, mark, query = path.partition("?")
    if not mark:
        return path
    parameters = query.split("&")
    for at, parameter in enumerate(parameters):
        if _is_ours(_read(parameter)[1], find_ours):
            name, equals, _ = parameter.partition("=")
            parameters[at] = f"{name}={REDACTED}" if equals else REDACTED
    return f"{before}?{'&'.join(parameters)}"


def headers_to_keep(headers: RawHeaders, hidden: Collection[bytes]) -> RawHeaders:
    """Return header fields to be logged, with these values replaced."""
    return tuple((name, REDACTED.encode() if value in hidden else value) for name, value in headers)


def _read(parameter: str) -> tuple[str, bytes]:
    name, equals, value = parameter.partition("=")
    return unquote_plus(name), unquote_to_bytes(value if equals else name)


def _is_ours(value: bytes, find_ours: FindOurs) -> bool:
    return bool(find_ours((value, value.replace(b"+", b" "))))
