"""`/api/v1/users`: end users with metrics of their requests, and the erasure of one."""

from __future__ import annotations

import asyncio

from aiohttp import web
from pydantic import Field

from gateway.api.native import http_responses as responses
from gateway.api.native.metrics import PartialFields, TimedMetricsFields, UserListParams, timed_metrics_fields
from gateway.api.native.schemas import Time, format_time
from gateway.models.principal import Principal, Role
from gateway.models.request import NANOUSD_PER_USD
from gateway.query.erasure import ErasureService
from gateway.query.users import MAX_MODELS, MAX_SESSIONS, User, UserDetail, UserReader
from gateway.web.endpoint import Endpoint, Example, Schema
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


class ModelOfUser(Schema):
    model: str | None
    requests: int
    cost_usd: float = Field(description="Requests whose cost is unknown count as 0.")


class SessionOfUser(Schema):
    session: str
    requests: int = Field(description="Of the whole session, whoever they are of.")
    started_at: Time
    ended_at: Time


class UserReply(UserRow):
    """An end user with the models that they used and their sessions."""

    first_seen_at: Time | None = Field(description="When the first of their requests started.")
    models: list[ModelOfUser] = Field(description=f"Those used most, at most {MAX_MODELS}.")
    sessions: list[SessionOfUser] = Field(description=f"The latest ones, at most {MAX_SESSIONS}.")

    @classmethod
    def of_detail(cls, found: UserDetail) -> UserReply:
        return cls.model_validate(
            {
                **dict(UserRow.of(found.user)),
                "first_seen_at": format_time(found.first_seen_us),
                "models": [
                    {
                        "model": group.cell.value,
                        "requests": group.usage.requests,
                        "cost_usd": group.usage.cost_nanousd / NANOUSD_PER_USD,
                    }
                    for group in found.models
                ],
                "sessions": [
                    {
                        "session": group.name,
                        "requests": group.usage.requests,
                        "started_at": format_time(group.started_at_us),
                        "ended_at": format_time(group.ended_at_us),
                    }
                    for group in found.sessions
                ],
            }
        )


class UserListReply(Schema):
    data: list[UserRow]
    next_cursor: responses.NextCursor
    unknown_keys: responses.UnknownKeys
    partial: PartialFields | None = Field(description="Null where all requests count.")


class UserEndpoints:
    def __init__(self, users: UserReader, eraser: ErasureService) -> None:
        self._users = users
        self._eraser = eraser

    @Endpoint(
        "GET",
        "/api/v1/users",
        Role.READ,
        "List users",
        failures=(400, 413, 503, 504),
        example=Example(query={"from": "7d", "order": "-cost", "limit": "2"}),
    )
    async def _list(
        self, request: web.Request, principal: Principal, params: UserListParams
    ) -> UserListReply:
        """The end users of the requests that match all filters, with the metrics of these requests."""
        asked, order = params.metrics_query(principal.tenant), params.metrics_order()
        found = await self._users.find(asked, params.prefix or "", order, params.page(), params.within)
        cursor = None if found.next_offset is None else str(found.next_offset)
        # Percentiles of many users take long, and other callers' streams run on this thread.
        rows = await asyncio.to_thread(lambda: [UserRow.of(user) for user in found.users])
        return UserListReply(
            data=rows,
            next_cursor=cursor,
            unknown_keys=list(found.unknown_keys),
            partial=PartialFields.of(found.partial),
        )

    @Endpoint("GET", USER_PATH, Role.READ, "Read one user", failures=(400, 404, 503, 504))
    async def _show(self, request: web.Request, principal: Principal, _: QueryParams) -> UserReply:
        """With the metrics of all their requests, models and sessions. A user who only gave feedback is
        included. Percent-encode the name."""
        user = await self._users.show(request.match_info["user"], principal.tenant)
        return UserReply.of_detail(user)

    @Endpoint(
        "DELETE",
        USER_PATH,
        Role.ADMIN,
        "Erase a user",
        audited_target=responses.target_without_person,
        failures=(400, 503),
        example=Example(query={"dry_run": "true"}),
    )
    async def _erase(
        self, request: web.Request, principal: Principal, params: responses.ErasureParams
    ) -> responses.ErasedReply:
        """For good: the contents, ids and metadata of their requests, of which anonymous metrics are left,
        and all feedback on these requests or by this user, with its history. Percent-encode the name."""
        scope = await self._eraser.find_user_scope(request.match_info["user"], principal)
        return await responses.erase(self._eraser, scope, params.dry_run)
