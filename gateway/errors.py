"""The errors that a client can get, by what it can do about them."""

from collections.abc import Mapping, Sequence

#     GatewayError                    every API renders one
#     ├── BadInput               400
#     │   ├── CallerTimeout      408  the body was sent too slowly
#     │   ├── TooLarge           413
#     │   ├── HeadTooLarge       431
#     │   └── Unprocessable      422  well formed, but a value is not possible
#     ├── Unauthorized           401  no key, or an unknown one
#     │   └── TokenExpired       401
#     ├── Forbidden              403  the key lacks a role
#     ├── NotFound               404  not there, or not visible to the key
#     ├── MethodNotAllowed       405
#     ├── UpgradeNotSupported    426
#     ├── Conflict               409  contradicts what is stored
#     │   └── Ambiguous          409  an id names several things
#     ├── TooManyRequests        429
#     ├── LimitExceeded          429  the key's limit, which resets soon
#     │   ├── QuotaExceeded      429  … which does not reset soon
#     │   └── BudgetExceeded     402  … in dollars, which does not reset soon
#     ├── Overloaded             503  try again soon
#     ├── StoreUnavailable       503  try again later
#     ├── QueryTimeout           504  a narrower query may work
#     └── UpstreamError          502
#         └── UpstreamTimeout    504
#
# They are raised where the rule lives and rendered once, by the API of the path. A library's exceptions are
# translated in the module that owns the library.


class GatewayError(Exception):
    """An error for the client; `field` is a path such as `metadata._user` or `[3].value`."""

    status = 500
    code = "internal_error"

    def __init_subclass__(cls, *, status: int | None = None, code: str | None = None) -> None:
        if status is not None:
            cls.status = status
        if code is not None:
            cls.code = code

    def __init__(self, message: str, *, field: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message, self.field, self.hint = message, field, hint

    def __str__(self) -> str:
        named = f"{self.field}: {self.message}" if self.field else self.message
        return f"{named} {self.hint}" if self.hint else named


class BadInput(GatewayError, status=400, code="bad_input"): ...


class CallerTimeout(BadInput, status=408, code="request_timeout"): ...


class TooLarge(BadInput, status=413, code="too_large"): ...


class HeadTooLarge(BadInput, status=431, code="head_too_large"): ...


class Unprocessable(BadInput, status=422, code="unprocessable"): ...


class Unauthorized(GatewayError, status=401, code="unauthorized"): ...


class TokenExpired(Unauthorized):
    """A feedback token that was valid until `expired_at`, in seconds since the epoch."""

    def __init__(self, message: str, expired_at: int) -> None:
        super().__init__(message)
        self.expired_at = expired_at


class Forbidden(GatewayError, status=403, code="forbidden"): ...


class NotFound(GatewayError, status=404, code="not_found"): ...


class MethodNotAllowed(GatewayError, status=405, code="method_not_allowed"): ...


class UpgradeNotSupported(GatewayError, status=426, code="upgrade_not_supported"): ...


class Conflict(GatewayError, status=409, code="conflict"): ...


class Ambiguous(Conflict, code="ambiguous"):
    """An id that names several things; `candidates` are those that the caller may see, by their ids."""

    def __init__(
        self,
        message: str,
        *,
        candidates: Sequence[Mapping[str, str | int | None]],
        field: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, field=field, hint=hint)
        self.candidates = candidates


class TooManyRequests(GatewayError, status=429, code="too_many_requests"):
    """`retry_after_seconds` is sent as Retry-After."""

    def __init__(self, message: str, *, retry_after_seconds: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_seconds = retry_after_seconds


class LimitExceeded(GatewayError, status=429, code="rate_limit_exceeded"):
    """A key has used up a limit; `resets_at` is the end of its window, as RFC 3339."""

    def __init__(self, message: str, *, limit: str, resets_at: str, seconds_left: int) -> None:
        super().__init__(message)
        self.limit, self.resets_at, self.seconds_left = limit, resets_at, seconds_left


class QuotaExceeded(LimitExceeded, code="insufficient_quota"): ...


class BudgetExceeded(LimitExceeded, status=402, code="budget_exceeded"): ...


class Overloaded(GatewayError, status=503, code="overloaded"):
    retry_after_seconds = 1


class StoreUnavailable(GatewayError, status=503, code="store_unavailable"):
    retry_after_seconds = 5


class StoreEmpty(StoreUnavailable):
    """The database exists, but no gateway has created its tables."""


# Without Retry-After: the same query would take as long again.
class QueryTimeout(GatewayError, status=504, code="question_timeout"): ...


class UpstreamError(GatewayError, status=502, code="upstream_error"): ...


class UpstreamTimeout(UpstreamError, status=504, code="upstream_timeout"): ...
