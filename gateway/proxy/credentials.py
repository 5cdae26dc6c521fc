"""Gateway keys and feedback tokens: found in requests, and kept out of what is forwarded and logged."""

from collections.abc import Callable, Collection, Iterable
from urllib.parse import unquote_plus, unquote_to_bytes

from gateway.auth.api_keys import ApiKeys
from gateway.auth.feedback_tokens import TOKEN_VERSION, FeedbackTokens
from gateway.models.exchange import RawHeaders
from gateway.models.principal import CREDENTIAL_PARAMETERS, PLACEHOLDER_KEY, REDACTED, strip_scheme

# From the values of header fields to those that are the gateway's own credentials.
FindGatewayCredentials = Callable[[Iterable[bytes]], Collection[bytes]]

_MAX_CACHED = 4096
_EMPTY_CREDENTIALS = frozenset(
    (scheme + word).strip().lower().encode() for scheme in ("", "Bearer ") for word in ("", PLACEHOLDER_KEY)
)


class GatewayCredentials:
    """Recognises gateway keys and feedback tokens, valid or not, by their values."""

    def __init__(self, keys: ApiKeys, tokens: FeedbackTokens) -> None:
        self._keys = keys
        self._tokens = tokens
        self._configured, self._stored = keys.key_sets()
        # Hashes, so that no credential is kept here. Most fields of a caller are the same in each request.
        self._others: set[int] = set()

    def find(self, values: Iterable[bytes]) -> Collection[bytes]:
        configured, stored = self._keys.key_sets()
        if configured is not self._configured or stored is not self._stored:
            self._others.clear()
            self._configured, self._stored = configured, stored
        others = self._others
        return [value for value in values if hash(value) not in others and self._is_ours(value)]

    def _is_ours(self, value: bytes) -> bool:
        credential = strip_scheme(value.decode("utf-8", "surrogateescape"))
        if self._tokens.is_token(credential) or self._keys.find(credential) is not None:
            return True
        # Whether there are tokens at all may change.
        if not credential.startswith(TOKEN_VERSION):
            if len(self._others) >= _MAX_CACHED:
                self._others.clear()
            self._others.add(hash(value))
        return False


def is_empty_credential(value: bytes) -> bool:
    return value.lower() in _EMPTY_CREDENTIALS


def without_gateway_credentials(target: str, find: FindGatewayCredentials) -> tuple[str, list[bytes]]:
    """Return a request target without the gateway's credentials, and the caller's other ones in its query."""
    credentials: list[bytes] = []
    if "?" not in target:
        return target, credentials
    path, _, query = target.partition("?")
    kept: list[str] = []
    for parameter in query.split("&"):
        name, value = _decode_parameter(parameter)
        is_credential = name in CREDENTIAL_PARAMETERS
        is_placeholder = is_credential and value == PLACEHOLDER_KEY.encode()
        if not is_placeholder and not _is_gateway_credential(value, find):
            kept.append(parameter)
            if is_credential and value:
                credentials.append(value)
    return f"{path}?{'&'.join(kept)}" if kept else path, credentials


def path_to_log(path: str, find_credentials: FindGatewayCredentials) -> str:
    """Return a path and query with the gateway's credentials masked, whatever the parameter is called."""
    before, mark, query = path.partition("?")
    if not mark:
        return path
    parameters = query.split("&")
    for at, parameter in enumerate(parameters):
        if _is_gateway_credential(_decode_parameter(parameter)[1], find_credentials):
            name, equals, _ = parameter.partition("=")
            parameters[at] = f"{name}={REDACTED}" if equals else REDACTED
    return f"{before}?{'&'.join(parameters)}"


def headers_to_log(headers: RawHeaders, secret_values: Collection[bytes]) -> RawHeaders:
    return tuple((name, REDACTED.encode() if value in secret_values else value) for name, value in headers)


def _decode_parameter(parameter: str) -> tuple[str, bytes]:
    name, equals, value = parameter.partition("=")
    return unquote_plus(name), unquote_to_bytes(value if equals else name)


def _is_gateway_credential(value: bytes, find_credentials: FindGatewayCredentials) -> bool:
    # In a query a plus may stand for a space, as between a scheme and a key.
    return bool(find_credentials((value, value.replace(b"+", b" "))))
