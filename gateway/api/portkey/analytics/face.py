"""The face of Portkey's analytics: its paths, and how a question comes to its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from pydantic import BaseModel

from gateway.api.portkey.analytics import cache, failures, feedback, usage
from gateway.api.portkey.analytics.asking import (
    PAGE_PARAMETERS,
    QUESTION_PARAMETERS,
    read_page,
    read_question,
)
from gateway.api.portkey.analytics.groups import (
    MetadataGroups,
    ModelGroups,
    UserGroups,
    by_metadata,
    by_model,
    by_user,
)
from gateway.api.portkey.analytics.views import View
from gateway.api.portkey.shapes import FailureResponse, failure, reply
from gateway.domain.aggregate import Question
from gateway.domain.principal import Principal, Role
from gateway.store.figures import AggregateQueries
from gateway.web.face import Endpoint, Face, Handler

ANALYTICS = "/v1/analytics"
VIEWS = (*usage.VIEWS, *failures.VIEWS, *cache.VIEWS, *feedback.VIEWS)

Answer = Callable[[Question, web.Request], Awaitable[BaseModel]]


def portkey_analytics_face(store: AggregateQueries) -> Face:
    """Return the face of `/v1/analytics`, for callers with the role `read`."""
    return Face(
        name="portkey analytics",
        prefixes=(ANALYTICS,),
        endpoints=(*(_view(store, view) for view in VIEWS), *_groups(store)),
        draw_error=failure,
        error_model=FailureResponse,
    )


def _view(store: AggregateQueries, view: View) -> Endpoint:
    return Endpoint(
        method="GET",
        path=f"{ANALYTICS}/{view.path}",
        handler=_handler(lambda question, _: view.draw(store, question)),
        role=Role.READ,
        summary=view.summary,
        description=view.description,
        parameters=QUESTION_PARAMETERS,
        reply=view.reply,
        failures=(400, 413, 503, 504),
    )


def _groups(store: AggregateQueries) -> tuple[Endpoint, ...]:
    def users(question: Question, request: web.Request) -> Awaitable[UserGroups]:
        return by_user(store, question, read_page(request.query))

    def models(question: Question, request: web.Request) -> Awaitable[ModelGroups]:
        return by_model(store, question, read_page(request.query))

    def metadata(question: Question, request: web.Request) -> Awaitable[MetadataGroups]:
        key = request.match_info["metadata_key"]
        return by_metadata(store, question, read_page(request.query), key)

    return (
        _group("users", "Users", users, UserGroups),
        _group("ai-models", "Models", models, ModelGroups),
        # Keys may hold slashes.
        _group("metadata/{metadata_key:.*[^/]}", "Values of the metadata", metadata, MetadataGroups),
    )


def _group(path: str, summary: str, answer: Answer, shape: type[BaseModel]) -> Endpoint:
    return Endpoint(
        method="GET",
        path=f"{ANALYTICS}/groups/{path}",
        handler=_handler(answer),
        role=Role.READ,
        summary=summary,
        description="Those of most requests first. Requests without one are left out.",
        parameters=(*QUESTION_PARAMETERS, *PAGE_PARAMETERS),
        reply=shape,
        failures=(400, 413, 503, 504),
    )


def _handler(answer: Answer) -> Handler:
    async def handle(request: web.Request, principal: Principal) -> web.Response:
        question = read_question(request.query.items(), principal.tenant)
        return reply(await answer(question, request))

    return handle
