"""What a call to the gateway can end in, by what the caller can do about it.

GatewayClientError          the root
├── ConnectionFailed        no reply came; the gateway may not be running
│   └── TimedOut            … within the time it was given
├── InvalidRequest     4xx  the arguments are wrong; the message names the field
├── Unauthorized       401  a gateway key is needed, or this one is not known
├── Forbidden          403  the key may not do this
├── NotFound           404  nothing of that id that this key may see
├── Conflict           409  the id or idempotency key was used before with other content, or the id is ambiguous
├── Unavailable        5xx  the gateway cannot do it now; the same call may work later
└── UnexpectedReply         the reply is none of the gateway's
"""

from __future__ import annotations


class GatewayClientError(Exception):
    """A call that failed.

    Args:
        message: what went wrong, for people; the gateway's own words where it replied.
        status: the HTTP status of the reply; None where there was none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class ConnectionFailed(GatewayClientError):
    pass


class TimedOut(ConnectionFailed):
    pass


class InvalidRequest(GatewayClientError):
    pass


class Unauthorized(GatewayClientError):
    pass


class Forbidden(GatewayClientError):
    pass


class NotFound(GatewayClientError):
    pass


class Conflict(GatewayClientError):
    pass


class Unavailable(GatewayClientError):
    pass


class UnexpectedReply(GatewayClientError):
    pass


_BY_STATUS = ((401, Unauthorized), (403, Forbidden), (404, NotFound), (409, Conflict))


def error_of(status: int, body: object) -> GatewayClientError:
    """Return the error that a reply with this status and JSON body stands for."""
    message = _message(body) or f"the gateway replied with status {status}"
    for known, kind in _BY_STATUS:
        if status == known:
            return kind(message, status)
    if 400 <= status < 500:
        return InvalidRequest(message, status)
    return Unavailable(message, status) if status >= 500 else UnexpectedReply(message, status)


def _message(body: object) -> str | None:
    """The message in the shape of the native API, `{"error": {"message", "field"}}`, or in that of the
    feedback paths, `{"message"}`."""
    if not isinstance(body, dict):
        return None
    detail = body.get("error")
    if not isinstance(detail, dict):
        detail = body
    message, field = detail.get("message"), detail.get("field")
    if not isinstance(message, str):
        return None
    return f"{field}: {message}" if isinstance(field, str) else message
