"""What can go wrong, by what a caller can do about it.

    GatewayError                 the root; every face knows how to draw one
    ├── BadInput            400  the caller sent something wrong and can mend it
    │   ├── CallerTimeout   408  … it takes too long to send it
    │   ├── TooLarge        413  … it is bigger than what is taken here
    │   ├── HeadTooLarge    431  … its head is
    │   └── Unprocessable   422  … it is well formed, but its values are not
    ├── Unauthorized        401  no key, or one that is not known
    ├── Forbidden           403  a known key that may not do this
    ├── NotFound            404  nothing of that name that this caller may see
    ├── MethodNotAllowed    405  the path exists, but not with this method
    ├── UpgradeNotSupported         426  another protocol was asked for, which is not spoken here
    ├── Conflict            409  it contradicts what is already stored
    │   └── Ambiguous       409  … an id in it names several things
    ├── TooManyRequests     429  this caller has used up what it may do for now
    ├── LimitExceeded       429  its key has used up a limit that resets soon; the same call works then
    │   ├── QuotaExceeded   429  … one that does not reset soon
    │   └── BudgetExceeded  402  … one in dollars that does not reset soon
    ├── Overloaded          503  there is more to do than can be done well; the same call may work soon
    ├── StoreUnavailable    503  the store cannot take it now; the same call may work later
    ├── QueryTimeout     504  the store would take too long to answer; a narrower question may work
    └── UpstreamError       502  the provider could not be reached, or broke off
        └── UpstreamTimeout 504  the provider took longer than it is given

Errors are raised where the rule lives and drawn once, by the face whose path was called. Nobody else
catches them. Exceptions of a library are translated in the one file that owns the library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class GatewayError(Exception):
    """An error that a caller can be told about.

    Args:
        message: one sentence that says what is wrong, fit to be shown to the caller.
        field: path of the offending field (`metadata._user`, `[3].value`), if one is to blame.
        hint: what to do about it.
    """

    status = 500
    code = "internal_error"

    def __init__(self, message: str, *, field: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.hint = hint

    def __str__(self) -> str:
        named = f"{self.field}: {self.message}" if self.field else self.message
        return f"{named} {self.hint}" if self.hint else named


class BadInput(GatewayError):
    status = 400
    code = "bad_input"


class CallerTimeout(BadInput):
    status = 408
    code = "request_timeout"


class TooLarge(BadInput):
    status = 413
    code = "too_large"


class HeadTooLarge(BadInput):
    status = 431
    code = "head_too_large"


class Unprocessable(BadInput):
    status = 422
    code = "unprocessable"


class Unauthorized(GatewayError):
    status = 401
    code = "unauthorized"


class Forbidden(GatewayError):
    status = 403
    code = "forbidden"


class NotFound(GatewayError):
    status = 404
    code = "not_found"


class MethodNotAllowed(GatewayError):
    status = 405
    code = "method_not_allowed"


class UpgradeNotSupported(GatewayError):
    status = 426
    code = "upgrade_not_supported"


class Conflict(GatewayError):
    status = 409
    code = "conflict"


class Ambiguous(Conflict):
    """An id that names several things.

    Args:
        candidates: what it names, as far as this caller may see it; each by the ids that it has.
    """

    code = "ambiguous"

    def __init__(
        self,
        message: str,
        *,
        candidates: Sequence[Mapping[str, str | None]],
        field: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, field=field, hint=hint)
        self.candidates = candidates


class TooManyRequests(GatewayError):
    """The caller may do no more of this for now. `retry_after_seconds` goes out as Retry-After."""

    status = 429
    code = "too_many_requests"

    def __init__(self, message: str, *, retry_after_seconds: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_seconds = retry_after_seconds


class LimitExceeded(GatewayError):
    """A key has used up one of its limits, whose window is so short that the caller may wait for its end.

    Args:
        limit: the limit as it is written in the configuration.
        resets_at: when its window ends, as RFC 3339.
        seconds_left: until then.
    """

    status = 429
    code = "rate_limit_exceeded"

    def __init__(self, message: str, *, limit: str, resets_at: str, seconds_left: int) -> None:
        super().__init__(message)
        self.limit = limit
        self.resets_at = resets_at
        self.seconds_left = seconds_left


class QuotaExceeded(LimitExceeded):
    code = "insufficient_quota"


class BudgetExceeded(LimitExceeded):
    status = 402
    code = "budget_exceeded"


class Overloaded(GatewayError):
    """More requests are under way than may be. `retry_after_seconds` goes out as Retry-After."""

    status = 503
    code = "overloaded"
    retry_after_seconds = 1


class StoreUnavailable(GatewayError):
    """The store refused a write or could not be read. `retry_after_seconds` goes out as Retry-After."""

    status = 503
    code = "store_unavailable"
    retry_after_seconds = 5


class StoreEmpty(StoreUnavailable):
    """The store is there, and no gateway has made anything in it yet."""


class QueryTimeout(GatewayError):
    """A question took longer than one may. The same again would take as long, so callers are told not to retry."""

    status = 504
    code = "question_timeout"


class UpstreamError(GatewayError):
    status = 502
    code = "upstream_error"


class UpstreamTimeout(UpstreamError):
    status = 504
    code = "upstream_timeout"
