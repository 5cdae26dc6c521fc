"""Errors of a call to the gateway, by what the caller can do."""

# GatewayClientError
# ├── ConnectionFailed        no reply; the gateway may not be running
# │   └── TimedOut            no reply in time
# ├── InvalidRequest     4xx  the message names the field
# ├── Unauthorized       401  the gateway key is missing or unknown
# ├── Forbidden          403  the key lacks the role
# ├── NotFound           404  no such id is visible to the key
# ├── Conflict           409  the id or idempotency key was used with other content, or the id is ambiguous
# ├── Unavailable        5xx  try again later
# └── UnexpectedReply         the reply is not a gateway's


class GatewayClientError(Exception):
    """A call that failed; `status` is None without a reply."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class ConnectionFailed(GatewayClientError): ...


class TimedOut(ConnectionFailed): ...


class InvalidRequest(GatewayClientError): ...


class Unauthorized(GatewayClientError): ...


class Forbidden(GatewayClientError): ...


class NotFound(GatewayClientError): ...


class Conflict(GatewayClientError): ...


class Unavailable(GatewayClientError): ...


class UnexpectedReply(GatewayClientError): ...


_BY_STATUS = ((401, Unauthorized), (403, Forbidden), (404, NotFound), (409, Conflict))


def error_of(status: int, body: object) -> GatewayClientError:
    """Return the error of a reply with this status and JSON body."""
    message = _message(body) or f"the gateway replied with status {status}"
    for known, kind in _BY_STATUS:
        if status == known:
            return kind(message, status)
    if 400 <= status < 500:
        return InvalidRequest(message, status)
    return Unavailable(message, status) if status >= 500 else UnexpectedReply(message, status)


def _message(body: object) -> str | None:
    # The native API has {"error": {"message", "field"}}, the feedback paths {"message"}.
    if not isinstance(body, dict):
        return None
    detail = body.get("error")
    if not isinstance(detail, dict):
        detail = body
    message, field = detail.get("message"), detail.get("field")
    if not isinstance(message, str):
        return None
    return f"{field}: {message}" if isinstance(field, str) else message
