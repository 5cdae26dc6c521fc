"""`/api/v1/users`: the end users, what they took, what they and others said, and a way to erase one."""

from __future__ import annotations

import asyncio

from aiohttp import web
from pydantic import Field

from gateway.api.native.filters import read_boolean
from gateway.api.native.http_responses import (
    DRY_RUN,
    ErasedReply,
    NextCursor,
    Schema,
    UnknownKeys,
    erase_response,
    json_response,
    target_without_person,
)
from gateway.api.native.metrics import (
    USER_PARAMETERS,
    TimedMetricsFields,
    read_users_request,
    timed_metrics_fields,
)
from gateway.api.native.schemas import Time, format_time
from gateway.models.principal import Principal, Role
from gateway.query.erasure import ErasureService
from gateway.query.users import User, UserReader, UserSlice
from gateway.web.endpoint import Endpoint, refuse_unknown_params, unique_params

# Names may hold slashes. One at the very end has to be sent as %2F.
USER_PATH = "/api/v1/users/{user:.*[^/]}"


class UserFields(Schema):
    user: str
    last_seen_at: Time | None = Field(description="When the latest of their requests started.")
    feedback_given: int = Field(description="Entries of which they are the author, on whatever.")


class UserRow(TimedMetricsFields, UserFields):
    """An end user, with the figures of their requests and of what was said of those."""

    @classmethod
    def of(cls, user: User) -> UserRow:
        figures = user.figures
        return cls.model_validate(
            {
                "user": user.name,
                "last_seen_at": format_time(figures.usage.last_started_at_us or None),
                "feedback_given": user.given,
                **timed_metrics_fields(figures.usage, figures.verdicts, figures.latencies),
            }
        )


class UserListReply(Schema):
    data: list[UserRow]
    next_cursor: NextCursor
    unknown_keys: UnknownKeys


class UserEndpoints:
    """Handlers of the users' paths."""

    def __init__(self, users: UserReader, eraser: ErasureService) -> None:
        self._users = users
        self._eraser = eraser

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the paths and what is found there."""
        return (
            Endpoint(
                method="GET",
                path="/api/v1/users",
                handler=self._find,
                role=Role.READ,
                summary="Find users",
                description="The end users of those requests that meet all conditions, with the figures of these "
                "requests.",
                parameters=USER_PARAMETERS,
                reply=UserListReply,
                failures=(400, 413, 503, 504),
            ),
            Endpoint(
                method="GET",
                path=USER_PATH,
                handler=self._show,
                role=Role.READ,
                summary="Read one user",
                description="With the figures of all their requests. One that gave feedback only is shown too. "
                "Percent-encode the name.",
                reply=UserRow,
                failures=(400, 404, 503, 504),
            ),
            Endpoint(
                method="DELETE",
                path=USER_PATH,
                handler=self._erase,
                role=Role.ADMIN,
                summary="Erase a user",
                description="For good: the contents, ids and metadata of their requests, of which anonymous "
                "figures are left, and all feedback on these requests or by this user, with its history. "
                "Percent-encode the name.",
                parameters=(DRY_RUN,),
                audited_target=target_without_person,
                reply=ErasedReply,
                failures=(400, 503),
            ),
        )

    async def _find(self, request: web.Request, principal: Principal) -> web.Response:
        parsed = read_users_request(request.query.items(), principal.tenant)
        found = await self._users.find(parsed.metrics_query, parsed.prefix, parsed.order, parsed.page)
        cursor = None if found.next_offset is None else str(found.next_offset)
        # Percentiles of many users take long, and other callers' streams go through this thread.
        rows = await asyncio.to_thread(_user_rows, found)
        return json_response(
            UserListReply(data=rows, next_cursor=cursor, unknown_keys=list(found.unknown_keys))
        )

    async def _show(self, request: web.Request, principal: Principal) -> web.Response:
        refuse_unknown_params(request.query, ())
        user = await self._users.show(request.match_info["user"], principal.tenant)
        return json_response(UserRow.of(user))

    async def _erase(self, request: web.Request, principal: Principal) -> web.Response:
        given = unique_params(request.query.items())
        refuse_unknown_params(given, [DRY_RUN.name])
        is_dry = read_boolean(given, DRY_RUN)
        belongings = await self._eraser.find_user_scope(request.match_info["user"], principal)
        return await erase_response(self._eraser, belongings, is_dry)


def _user_rows(found: UserSlice) -> list[UserRow]:
    return [UserRow.of(user) for user in found.users]
