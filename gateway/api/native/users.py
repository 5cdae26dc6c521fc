"""`/api/v1/users`: end users with metrics of their requests, and the erasure of one."""

from __future__ import annotations

import asyncio

from aiohttp import web
from pydantic import Field

from gateway.api.native import http_responses as responses
from gateway.api.native.metrics import TimedMetricsFields, UserListParams, timed_metrics_fields
from gateway.api.native.schemas import Time, format_time
from gateway.models.principal import Principal, Role
from gateway.query.erasure import ErasureService
from gateway.query.users import User, UserReader
from gateway.web.endpoint import Endpoint, Schema
from gateway.web.query_params import QueryParams

# Names may contain slashes. One at the very end has to be sent as %2F.
USER_PATH = "/api/v1/users/{user:.*[^/]}"


class UserFields(Schema):
    user: str
    last_seen_at: Time | None = Field(description="When the latest of their requests started.")
    feedback_given: int = Field(description="Feedback entries with this user as author, on anything.")


class UserRow(TimedMetricsFields, UserFields):
    """An end user with the metrics of their requests and of the feedback on those."""

    @classmethod
    def of(cls, user: User) -> UserRow:
        metrics = user.figures
        return cls.model_validate(
            {
                "user": user.name,
                "last_seen_at": format_time(metrics.usage.last_started_at_us or None),
                "feedback_given": user.given,
                **timed_metrics_fields(metrics.usage, metrics.feedback_sums, metrics.latencies),
            }
        )


class UserListReply(Schema):
    data: list[UserRow]
    next_cursor: responses.NextCursor
    unknown_keys: responses.UnknownKeys


class UserEndpoints:
    def __init__(self, users: UserReader, eraser: ErasureService) -> None:
        self._users = users
        self._eraser = eraser

    @Endpoint("GET", "/api/v1/users", Role.READ, "List users", failures=(400, 413, 503, 504))
    async def _list(
        self, request: web.Request, principal: Principal, params: UserListParams
    ) -> UserListReply:
        """The end users of the requests that match all filters, with the metrics of these requests."""
        asked, order = params.metrics_query(principal.tenant), params.metrics_order()
        found = await self._users.find(asked, params.prefix or "", order, params.page())
        cursor = None if found.next_offset is None else str(found.next_offset)
        # Percentiles of many users take long, and other callers' streams run on this thread.
        rows = await asyncio.to_thread(lambda: [UserRow.of(user) for user in found.users])
        return UserListReply(data=rows, next_cursor=cursor, unknown_keys=list(found.unknown_keys))

    @Endpoint("GET", USER_PATH, Role.READ, "Read one user", failures=(400, 404, 503, 504))
    async def _show(self, request: web.Request, principal: Principal, _: QueryParams) -> UserRow:
        """With the metrics of all their requests. A user who only gave feedback is included. Percent-encode
        the name."""
        user = await self._users.show(request.match_info["user"], principal.tenant)
        return UserRow.of(user)

    @Endpoint(
        "DELETE",
        USER_PATH,
        Role.ADMIN,
        "Erase a user",
        audited_target=responses.target_without_person,
        failures=(400, 503),
    )
    async def _erase(
        self, request: web.Request, principal: Principal, params: responses.ErasureParams
    ) -> responses.ErasedReply:
        """For good: the contents, ids and metadata of their requests, of which anonymous metrics are left,
        and all feedback on these requests or by this user, with its history. Percent-encode the name."""
        scope = await self._eraser.find_user_scope(request.match_info["user"], principal)
        return await responses.erase(self._eraser, scope, params.dry_run)
