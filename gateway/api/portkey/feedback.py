"""`/v1/feedback` of Portkey: give feedback, one entry or many, and change an entry."""

from collections.abc import Callable

from aiohttp import web

from gateway.api.portkey import schemas
from gateway.errors import NotFound
from gateway.feedback.identifiers import waiting_note
from gateway.feedback.payloads import Scale, signed_scale
from gateway.feedback.service import FeedbackService
from gateway.models.principal import Principal, Role
from gateway.web.bodies import read_idempotency_key, read_json
from gateway.web.endpoint import EXAMPLE_IDS, Api, Endpoint, Example, Tag, endpoints_of
from gateway.web.feedback import MAX_BULK, joined_headers, parse_uuid

# How this API is called in stored rows.
DIALECT = "portkey"

SAVED_MESSAGE = "Feedback successfully saved"
THUMBS_NOTE = (
    "So far you have only given 0 and 1, which count as grades from -10 to 10: 0 is neutral, 1 is 0.1. If they are "
    "thumbs, set portkey_scale: thumbs, and correct what is stored with `gateway feedback rescale --scale thumbs`."
)


def portkey_feedback_api(
    service: FeedbackService, scale_of: Callable[[Principal], Scale], max_body_bytes: int
) -> Api:
    """Return the API of `/v1/feedback`.

    Args:
        scale_of: returns how a caller's values become scores.
    """
    return Api(
        name=DIALECT,
        tag=Tag("Portkey: Feedback", "Give and change feedback as clients of Portkey do."),
        prefixes=("/v1/feedback",),
        render_error=schemas.render_error,
        error_model=schemas.FailureResponse,
        endpoints=endpoints_of(_FeedbackEndpoints(service, scale_of, max_body_bytes)),
    )


class _FeedbackEndpoints:
    def __init__(
        self, service: FeedbackService, scale_of: Callable[[Principal], Scale], max_body_bytes: int
    ) -> None:
        self._service = service
        self._scale_of = scale_of
        self._max_body_bytes = max_body_bytes

    @Endpoint(
        "POST",
        "/v1/feedback",
        Role.FEEDBACK,
        "Give feedback on a trace, request or session",
        body=schemas.FeedbackRequest | list[schemas.FeedbackRequest],
        reply=schemas.FeedbackResponse,
        failures=(400, 409, 429),
        accepts_feedback_token=True,
        example=Example(
            body={
                "trace_id": EXAMPLE_IDS["trace_id"],
                "value": -5,
                "weight": 0.5,
                "metadata": {"_user": "ann"},
            }
        ),
    )
    async def _create(self, request: web.Request, principal: Principal) -> web.Response:
        """Takes one entry or an array of up to 1,000, all or none."""
        key = read_idempotency_key(request.headers)
        scale = self._scale_of(principal)
        items = schemas.to_new_feedback(await read_json(request, self._max_body_bytes, MAX_BULK), scale)
        entries = await self._service.give(items, principal, dialect=DIALECT, idempotency_key=key)
        notes = [waiting_note(entries)]
        if scale is signed_scale and await self._service.sends_thumbs_as_grades(principal, items):
            notes.append(THUMBS_NOTE)
        message = ". ".join(filter(None, [SAVED_MESSAGE, " ".join(filter(None, notes))]))
        response = schemas.success_response(message, entries)
        response.headers.update(joined_headers(entries))
        return response

    @Endpoint(
        "PUT",
        "/v1/feedback/{feedback_id}",
        Role.FEEDBACK,
        "Change an entry",
        body=schemas.FeedbackUpdateRequest,
        reply=schemas.FeedbackResponse,
        failures=(400, 404, 409),
        example=Example(body={"value": 5}),
    )
    async def _update(self, request: web.Request, principal: Principal) -> web.Response:
        """Makes a new version of the entry; earlier versions are kept."""
        feedback_id = _feedback_id(request)
        key = read_idempotency_key(request.headers)
        body = await read_json(request, self._max_body_bytes)
        change = schemas.to_revision(body, self._scale_of(principal))
        entry = await self._service.revise(feedback_id, change, principal, DIALECT, idempotency_key=key)
        return schemas.success_response("Feedback successfully updated", [entry])


def _feedback_id(request: web.Request) -> str:
    try:
        return parse_uuid(request.match_info["feedback_id"])
    except ValueError:
        raise NotFound("no feedback entry has this id; ids are UUIDs.", field="id") from None
