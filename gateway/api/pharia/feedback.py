"""The dialect's paths: give feedback, list it, change it and delete it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import orjson
from aiohttp import web
from pydantic import BaseModel, Field

from gateway.api.pharia.bodies import FeedbackPatchBody, NewFeedbackBody, to_patch, to_vote
from gateway.api.pharia.entries import DIALECT, Entries, Entry
from gateway.api.pharia.errors import ErrorResponse, draw_error
from gateway.api.pharia.searching import MAX_LIMIT, PARAMETERS, read_feedback_id, read_search
from gateway.domain.feedback import Feedback
from gateway.domain.filter import Page, Sort
from gateway.domain.principal import Principal, Role
from gateway.errors import TooLarge
from gateway.feedback import FeedbackCore
from gateway.web.bodies import read_json
from gateway.web.face import ANY_ROLE, Endpoint, Face
from gateway.web.feedback import joined_headers
from gateway.web.validation import read_idempotency_key

PATHS = ("/api/feedback", "/feedback")
OLDEST_FIRST = Sort("created_at_us", descending=False)


class FeedbackIdResponse(BaseModel):
    """The entry that was made."""

    feedback_id: str = Field(description="Its id.")


class MessageResponse(BaseModel):
    """What was done."""

    message: str


def pharia_face(core: FeedbackCore, max_body_bytes: int) -> Face:
    """Return PhariaAssistant's face.

    Args:
        max_body_bytes: longest body taken.
    """
    handlers = _Handlers(core, max_body_bytes)
    return Face(
        name=DIALECT,
        prefixes=PATHS,
        endpoints=tuple(endpoint for path in PATHS for endpoint in handlers.endpoints(path)),
        draw_error=draw_error,
        error_model=ErrorResponse,
    )


class _Handlers:
    def __init__(self, core: FeedbackCore, max_body_bytes: int) -> None:
        self._core = core
        self._max_body_bytes = max_body_bytes

    def endpoints(self, path: str) -> tuple[Endpoint, ...]:
        return (
            Endpoint(
                method="POST",
                path=path,
                handler=self._create,
                role=ANY_ROLE,
                summary="Give feedback on a trace",
                description="The feedback is any JSON object. Known shapes in it, such as `rating`, `thumbs_up`, "
                "`score`, `comment` and `user_edit`, also count as a verdict, a comment or an edit. An "
                "`original_response` and a `user_edit` that come as entries of their own on a trace are one edit.",
                body=NewFeedbackBody,
                reply=FeedbackIdResponse,
                failures=(409, 413, 422, 429, 503),
                takes_tokens=True,
            ),
            Endpoint(
                method="GET",
                path=path,
                handler=self._list,
                role=Role.ADMIN,
                summary="List feedback",
                description="All conditions must hold. The oldest first, of every dialect.",
                parameters=PARAMETERS,
                reply=Entries,
                failures=(413, 422, 503, 504),
            ),
            Endpoint(
                method="PATCH",
                path=f"{path}/{{feedback_id}}",
                handler=self._change,
                role=ANY_ROLE,
                summary="Change an entry",
                description="Makes a new version of the entry; the earlier ones are kept. Fields of `feedback` "
                "are added, or replace those of their name; the others stay.",
                body=FeedbackPatchBody,
                reply=MessageResponse,
                failures=(404, 409, 413, 422, 503),
            ),
            Endpoint(
                method="DELETE",
                path=f"{path}/{{feedback_id}}",
                handler=self._remove,
                role=Role.ADMIN,
                summary="Delete an entry",
                description="For good: all its versions, and what is kept of the calls that made them.",
                reply=MessageResponse,
                failures=(404, 503),
            ),
        )

    async def _create(self, request: web.Request, principal: Principal) -> web.Response:
        key = read_idempotency_key(request.headers)
        vote = to_vote(await read_json(request, self._max_body_bytes))
        entries = await self._core.give([vote], principal, dialect=DIALECT, idempotency_key=key)
        response = _reply(FeedbackIdResponse(feedback_id=entries[0].feedback_id))
        response.headers.update(joined_headers(entries))
        return response

    async def _list(self, request: web.Request, principal: Principal) -> web.Response:
        search = read_search(request)
        found = await self._core.find(search.where, OLDEST_FIRST, Page(search.limit + 1), principal)
        if len(found) > search.limit:
            raise TooLarge(
                f"Too many results: more than {search.limit:,} entries match.",
                field="limit",
                hint=f"Ask for a shorter time, or set limit to up to {MAX_LIMIT:,}.",
            )
        # Many entries take long to write, and other callers' streams go through this thread.
        return await asyncio.to_thread(_list_reply, found)

    async def _change(self, request: web.Request, principal: Principal) -> web.Response:
        key = read_idempotency_key(request.headers)
        patch = to_patch(await read_json(request, self._max_body_bytes))
        await self._core.revise(read_feedback_id(request), patch, principal, DIALECT, idempotency_key=key)
        return _reply(MessageResponse(message="Feedback updated successfully"))

    async def _remove(self, request: web.Request, principal: Principal) -> web.Response:
        await self._core.remove(read_feedback_id(request), principal, DIALECT)
        return _reply(MessageResponse(message="Feedback deleted successfully"))


def _list_reply(found: Sequence[Feedback]) -> web.Response:
    return _reply(Entries([Entry.of(entry) for entry in found]))


def _reply(body: BaseModel) -> web.Response:
    return web.Response(
        body=orjson.dumps(body.model_dump()),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
