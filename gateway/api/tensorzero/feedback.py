"""`/tensorzero/feedback`: metrics, comments and demonstrations, as TensorZero's client sends them."""

from collections.abc import Mapping
from typing import Annotated, Self

import orjson
from aiohttp import web
from pydantic import BeforeValidator, Field, model_validator

from gateway.errors import GatewayError
from gateway.feedback.named_values import (
    NamedFeedback,
    NamedValue,
    SubjectNames,
    author_in,
    read_value,
    source_in,
    text_of,
)
from gateway.feedback.service import FeedbackService
from gateway.models.ids import new_id
from gateway.models.principal import Principal, Role
from gateway.web import feedback as fields
from gateway.web.bodies import abbreviate, read_idempotency_key, read_json, validate_body
from gateway.web.endpoint import EXAMPLE_IDS, Api, Endpoint, Example, Schema, Tag, endpoints_of, json_response

# How this API is called in stored rows.
DIALECT = "tensorzero"

# Names of what is no metric.
COMMENT, DEMONSTRATION = "comment", "demonstration"


def _check_value(value: object) -> object:
    if value is None or fields.has_nul(value):
        raise ValueError(f"must be a value without the character U+0000; got {abbreviate(value)}")
    return value


class FeedbackBody(Schema):
    """Feedback on one inference or episode. Null fields count as absent."""

    inference_id: fields.OptionalId = Field(
        None, description="Id of a request, a response or a trace, whether or not it is logged yet."
    )
    episode_id: fields.OptionalId = Field(
        None, description="Id of a trace or a session; either this or inference_id."
    )
    metric_name: fields.AnyId = Field(
        description="What is rated. `comment` takes a text, `demonstration` the answer as it should have been."
    )
    value: Annotated[object, BeforeValidator(_check_value)] = Field(
        description="A boolean or number of a metric; a text of a comment; a text or blocks of a demonstration."
    )
    tags: fields.Metadata = Field(
        None, description="Kept as metadata. `user_id` is the author; `source: model` or `code` is no person."
    )
    dryrun: bool | None = Field(None, description="true: check it, and store nothing.")

    @model_validator(mode="after")
    def _check_subject_and_value(self) -> Self:
        if (self.inference_id is None) is (self.episode_id is None):
            raise ValueError("needs either inference_id or episode_id")
        if self.metric_name == DEMONSTRATION:
            if self.inference_id is None:
                raise ValueError("a demonstration needs inference_id; it is of one answer")
            if text_of(self.value) is None:
                raise ValueError("value of a demonstration must not be empty")
        elif self.metric_name == COMMENT:
            if not isinstance(self.value, str) or not self.value:
                raise ValueError(f"value of a comment must be a text; got {abbreviate(self.value)}")
        elif not isinstance(self.value, bool | int | float):
            raise ValueError(f"value of a metric must be a boolean or a number; got {abbreviate(self.value)}")
        return self

    def named(self, raw: str, feedback_id: str | None = None) -> NamedFeedback:
        tags: Mapping[str, object] = self.tags or {}
        is_metric = self.metric_name not in (COMMENT, DEMONSTRATION)
        # One of both is there.
        names = tuple(each for each in (self.inference_id, self.episode_id) if each)
        return NamedFeedback(
            subject=SubjectNames(names, field="inference_id" if self.inference_id else "episode_id"),
            name=self.metric_name,
            value=read_value(self.value) if is_metric else NamedValue(),
            comment=str(self.value) if self.metric_name == COMMENT else None,
            edited_text=text_of(self.value) if self.metric_name == DEMONSTRATION else None,
            author=author_in(tags),
            source=source_in(tags),
            metadata=tags,
            raw=raw,
            feedback_id=feedback_id,
        )


class FeedbackReply(Schema):
    feedback_id: str = Field(description="Id of the entry; of a dry run one that names nothing.")


class ErrorReply(Schema):
    """An error; nothing was stored."""

    error: str


def render_error(error: GatewayError) -> web.Response:
    message = str(error).encode(errors="replace").decode()
    return json_response(ErrorReply(error=message), error.status)


def tensorzero_api(service: FeedbackService, max_body_bytes: int) -> Api:
    return Api(
        name=DIALECT,
        tag=Tag("TensorZero", "Feedback on inferences and episodes as TensorZero's client gives it."),
        prefixes=("/tensorzero",),
        endpoints=endpoints_of(_FeedbackEndpoints(service, max_body_bytes)),
        render_error=render_error,
        error_model=ErrorReply,
        takes_basic_auth=True,
    )


class _FeedbackEndpoints:
    def __init__(self, service: FeedbackService, max_body_bytes: int) -> None:
        self._service = service
        self._max_body_bytes = max_body_bytes

    @Endpoint(
        "POST",
        "/tensorzero/feedback",
        Role.FEEDBACK,
        "Give feedback on an inference or episode",
        body=FeedbackBody,
        reply=FeedbackReply,
        failures=(400, 409, 429),
        accepts_feedback_token=True,
        example=Example(
            body={
                "inference_id": EXAMPLE_IDS["request_id"],
                "metric_name": "helpful",
                "value": True,
                "tags": {"user_id": "ann"},
            }
        ),
    )
    async def _give(self, request: web.Request, principal: Principal) -> web.Response:
        """A metric's true and false are the scores 1 and -1, a number from 0 to 1 the score from -1 to 1. Other
        numbers are kept without a score. Each call makes an entry."""
        key = read_idempotency_key(request.headers)
        body = await read_json(request, self._max_body_bytes)
        given = validate_body(FeedbackBody, body)
        if given.dryrun:
            return json_response(FeedbackReply(feedback_id=new_id()))
        item = given.named(orjson.dumps(body).decode())
        [entry] = await self._service.give_named([item], principal, dialect=DIALECT, idempotency_key=key)
        response = json_response(FeedbackReply(feedback_id=entry.feedback_id))
        response.headers.update(fields.joined_headers([entry]))
        return response
