"""A logged request as a shell command that sends it again, with secrets as variables."""

import shlex
from collections.abc import Iterator

from gateway.models.exchange import RawHeaders
from gateway.models.principal import CREDENTIAL_HEADERS, REDACTED

# The variable that stands for the caller's key.
KEY_VARIABLE = "GATEWAY_KEY"

# A longer body is piped in: shells and systems bound the length of a command.
MAX_INLINE_BYTES = 16 * 1024

# curl makes its own, or they belong to the connection; an id would make two requests one.
_LEFT_OUT = frozenset(
    {
        "host", "content-length", "connection", "keep-alive", "transfer-encoding", "te", "upgrade", "expect",
        "proxy-connection", "accept-encoding", "user-agent", "traceparent", "tracestate", "baggage",
        "idempotency-key",
    }
)  # fmt: skip
_LEFT_OUT_ENDINGS = ("request-id", "retry-count")
_CREDENTIALS = frozenset(name.lower() for name in CREDENTIAL_HEADERS)


def curl_command(
    method: str, url: str, headers: RawHeaders, body: bytes, *, body_url: str | None = None
) -> str:
    """Return a command for a POSIX shell; what is redacted becomes `$GATEWAY_KEY` or a variable named like the
    header.

    Args:
        url: of the gateway, with the path and query as they were logged.
        body: as it is to be sent, after any content-encoding.
        body_url: where the body can be read from, if it is to be piped in.
    """
    words = ["curl", "-gsS", "-X", shlex.quote(method), _quote(url, KEY_VARIABLE)]
    for name, value in headers:
        words += _header_words(name.decode("latin-1"), value.decode("utf-8", "replace"))
    if not body:
        return _wrap(words)
    if is_inline(body):
        # `--data-raw` takes a leading @ as it is.
        return _wrap([*words, "--data-raw", shlex.quote(body.decode())])
    command = _wrap([*words, "--data-binary", "@-"])
    if body_url is None:
        return command
    key = _quote(f"Authorization: Bearer {REDACTED}", KEY_VARIABLE)
    return f"curl -gsS {_quote(body_url, KEY_VARIABLE)} -H {key} |\n{command}"


def is_inline(body: bytes) -> bool:
    """Tell whether a body can stand in a command."""
    if len(body) > MAX_INLINE_BYTES or b"\0" in body:
        return False
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _header_words(name: str, value: str) -> Iterator[str]:
    lowered = name.lower()
    if lowered in _LEFT_OUT or lowered.endswith(_LEFT_OUT_ENDINGS):
        return
    yield "-H"
    if not value:
        # Without a value curl would leave the header out.
        yield _quote(f"{name};", KEY_VARIABLE)
        return
    variable = KEY_VARIABLE
    if lowered not in _CREDENTIALS:
        variable = "".join(letter if letter.isalnum() else "_" for letter in name.upper())
    # Only the value was kept of a whole credential, so the usual scheme is added.
    shown = value.replace(REDACTED, f"Bearer {REDACTED}") if lowered == "authorization" else value
    yield _quote(f"{name}: {shown}", variable)


def _quote(text: str, variable: str) -> str:
    """Quote a text for a shell, with a variable in place of what is redacted."""
    parts = (shlex.quote(part) if part else "" for part in text.split(REDACTED))
    return f'"${{{variable}}}"'.join(parts) or "''"


def _wrap(words: list[str]) -> str:
    """Put each header and the body on a line of its own."""
    lines: list[str] = []
    for word in words:
        if word in ("-H", "--data-raw", "--data-binary"):
            lines.append(f"  {word}")
        elif lines:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return " \\\n".join(lines)
