"""`/mlflow/api/3.0/mlflow/traces/{trace}/assessments`: assessments of traces as MLflow's client logs them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Self
from uuid import UUID

import orjson
from aiohttp import web
from pydantic import BeforeValidator, Field, model_validator

from gateway.errors import BadInput, GatewayError, NotFound
from gateway.feedback.named_values import (
    NamedFeedback,
    NamedValue,
    SubjectNames,
    read_value,
    restate,
    spellings,
    text_of,
)
from gateway.feedback.rules import replace_by_id
from gateway.feedback.service import FeedbackService
from gateway.models.clock import format_rfc3339
from gateway.models.feedback import Feedback, Source
from gateway.models.ids import content_id
from gateway.models.principal import Principal, Role
from gateway.web import feedback as fields
from gateway.web.bodies import parse_json, read_json, validate_body
from gateway.web.endpoint import Api, Endpoint, Example, Schema, Tag, endpoints_of

# How this API is called in stored rows.
DIALECT = "mlflow"

PATH = "/mlflow/api/3.0/mlflow/traces/{trace_id:[^/]+}/assessments"

_TRACE_PREFIX, _ID_PREFIX = "tr-", "a-"
_SOURCES = {"HUMAN": Source.HUMAN, "LLM_JUDGE": Source.MODEL, "AI_JUDGE": Source.MODEL, "CODE": Source.CODE}
_SOURCE_TYPES = {Source.MODEL: "LLM_JUDGE", Source.CODE: "CODE"}
# What sources that are not named are called.
_NO_NAME = "default"

# Judges answer so, whatever they judge.
_TRUTHS = {"yes": True, "no": False}
# The one expectation that is an answer.
EXPECTED_RESPONSE = "expected_response"

# Fields that a change may have; in its mask the client writes `assessmentName`.
CHANGEABLE = ("assessment_name", "feedback", "expectation", "rationale", "metadata", "source")

_ERROR_CODES = {
    400: "INVALID_PARAMETER_VALUE", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST", 405: "ENDPOINT_NOT_FOUND", 408: "INVALID_PARAMETER_VALUE",
    409: "RESOURCE_CONFLICT", 413: "INVALID_PARAMETER_VALUE", 429: "REQUEST_LIMIT_EXCEEDED",
    503: "TEMPORARILY_UNAVAILABLE",
}  # fmt: skip


def _check_json(value: object) -> object:
    if fields.has_nul(value):
        raise ValueError("must not hold the character U+0000")
    return value


Json = Annotated[object, BeforeValidator(_check_json)]


class AssessmentSource(Schema):
    source_type: str = Field("HUMAN", description="HUMAN, LLM_JUDGE or CODE.")
    source_id: fields.OptionalId = Field(None, description="The author.")


class AssessmentError(Schema):
    error_code: fields.Text = None
    error_message: fields.Text = None


class FeedbackValue(Schema):
    value: Json = Field(None, description="A boolean, a number, a text, or anything else.")
    error: AssessmentError | None = Field(None, description="Why there is no value.")


class SerializedValue(Schema):
    value: fields.Text = Field(None, description="JSON.")


class ExpectationValue(Schema):
    value: Json = None
    serialized_value: SerializedValue | None = None

    @property
    def content(self) -> object:
        if self.serialized_value is None:
            return self.value
        return parse_json((self.serialized_value.value or "null").encode())


class Assessment(Schema):
    """Feedback or an expectation, on a trace or a span of it."""

    assessment_id: str | None = None
    assessment_name: fields.AnyId
    trace_id: fields.OptionalId = Field(None, description="That of the path.")
    span_id: fields.OptionalId = Field(
        None, description="Span that a request is, or was sent in; what no request has counts for the trace."
    )
    source: AssessmentSource = AssessmentSource(source_type="HUMAN", source_id=None)
    create_time: str | None = None
    last_update_time: str | None = None
    feedback: FeedbackValue | None = None
    expectation: ExpectationValue | None = Field(
        None,
        description=f"A text named `{EXPECTED_RESPONSE}` is the edited answer, all else is kept as metadata.",
    )
    rationale: fields.Text = Field(None, description="The comment.")
    metadata: fields.Metadata = None
    overrides: fields.OptionalId = Field(
        None, description="Id of an assessment, of which this becomes the next version."
    )
    valid: bool | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.feedback is None) is (self.expectation is None):
            raise ValueError("needs either feedback or expectation; no other assessment is taken here")
        if self.source.source_type not in _SOURCES:
            raise ValueError(f"source.source_type must be one of {', '.join(_SOURCES)}")
        return self

    def named(self, trace_id: str, raw: Mapping[str, object]) -> NamedFeedback:
        source, name = _SOURCES[self.source.source_type], self.source.source_id
        encoded = orjson.dumps(raw, option=orjson.OPT_SORT_KEYS)
        value, comment, edited_text, metadata = self._content()
        return NamedFeedback(
            subject=SubjectNames(_trace_names(trace_id), self.span_id, field="trace_id"),
            name=self.assessment_name,
            value=value,
            comment=comment,
            edited_text=edited_text,
            author=None if name == _NO_NAME else name,
            source=source,
            metadata=metadata,
            raw=encoded.decode(),
            # The client makes no id, but stamps each assessment, so a retry has the same content.
            feedback_id=content_id(trace_id.encode() + encoded) if self.create_time else None,
        )

    def _content(self) -> tuple[NamedValue, str | None, str | None, Mapping[str, object]]:
        metadata = self.metadata or {}
        if self.expectation is not None:
            content = self.expectation.content
            if self.assessment_name == EXPECTED_RESPONSE and (text := text_of(content)):
                return NamedValue(), self.rationale, text, metadata
            return NamedValue(), self.rationale, None, {**metadata, "expectation": content}
        given = self.feedback or FeedbackValue(value=None, error=None)
        if given.error is not None:
            label = NamedValue(label=given.error.error_code)
            return label, given.error.error_message or self.rationale, None, metadata
        return _read_value(given.value), self.rationale, None, metadata


def _read_value(value: object) -> NamedValue:
    truth = _TRUTHS.get(value.lower()) if isinstance(value, str) else None
    if truth is None:
        return read_value(value)
    read = read_value(truth)
    return NamedValue(read.number, read.scale, label=str(value))


def _trace_names(trace_id: str) -> tuple[str, ...]:
    # Clients write the trace id of OpenTelemetry with a prefix, and callers may have sent either.
    plain = trace_id.removeprefix(_TRACE_PREFIX)
    return tuple(dict.fromkeys((trace_id, *spellings(plain))))


class AssessmentBody(Schema):
    assessment: Assessment


class AssessmentPatch(Schema):
    assessment: dict[str, object]
    update_mask: str = Field(description=f"Of {', '.join(CHANGEABLE)}, separated by commas.")


class AssessmentReply(Schema):
    assessment: Assessment


class DeletedReply(Schema):
    """Nothing: it is withdrawn."""


class ErrorReply(Schema):
    """An error; nothing was stored."""

    error_code: str
    message: str


def render_error(error: GatewayError) -> web.Response:
    message = str(error).encode(errors="replace").decode()
    code = _ERROR_CODES.get(error.status, "INTERNAL_ERROR")
    return _json(ErrorReply(error_code=code, message=message).model_dump(), error.status)


def mlflow_api(service: FeedbackService, max_body_bytes: int) -> Api:
    return Api(
        name=DIALECT,
        tag=Tag("MLflow", "Assessments of traces as MLflow's client logs them."),
        prefixes=("/mlflow",),
        endpoints=endpoints_of(_AssessmentEndpoints(service, max_body_bytes), PATH),
        render_error=render_error,
        error_model=ErrorReply,
        takes_basic_auth=True,
    )


_EXAMPLE = {
    "assessment": {
        "assessment_name": "helpful",
        "trace_id": "tr-8f2a",
        "source": {"source_type": "HUMAN", "source_id": "ann"},
        "create_time": "2026-01-31T09:30:00.123Z",
        "feedback": {"value": True},
        "rationale": "Just right.",
    }
}
_EXAMPLE_PATH = {"trace_id": "tr-8f2a", "assessment_id": "a-f22be31b3e878a0f953580d2b6eb4791"}


@dataclass(frozen=True, slots=True)
class _AssessmentChange:
    """Fields of an assessment that replace those of the same name."""

    changed: Mapping[str, object]

    @property
    def raw(self) -> str:
        return orjson.dumps(self.changed).decode()

    def of(self, entry: Feedback) -> Feedback:
        stated = _assessment_of(entry)
        merged = {**stated, **self.changed}
        before, after = (
            validate_body(Assessment, each, "assessment").named(str(each["trace_id"]), each)
            for each in (stated, merged)
        )
        return restate(entry, before, after)


class _AssessmentEndpoints:
    def __init__(self, service: FeedbackService, max_body_bytes: int) -> None:
        self._service = service
        self._max_body_bytes = max_body_bytes

    @Endpoint(
        "POST",
        "",
        Role.FEEDBACK,
        "Log an assessment",
        body=AssessmentBody,
        reply=AssessmentReply,
        failures=(400, 404, 409, 429),
        accepts_feedback_token=True,
        example=Example(path=_EXAMPLE_PATH, body=_EXAMPLE),
    )
    async def _log(self, request: web.Request, principal: Principal) -> web.Response:
        """True and false, and a judge's yes and no, are the scores 1 and -1, a number from 0 to 1 the score from -1
        to 1. The same content with the same `create_time` is a retry."""
        body = await read_json(request, self._max_body_bytes)
        given = validate_body(AssessmentBody, body).assessment
        raw = dict(body["assessment"]) if isinstance(body, dict) else {}
        trace_id = request.match_info["trace_id"]
        if given.overrides is not None:
            change = _AssessmentChange({**raw, "trace_id": trace_id})
            overridden = await self._find(request, principal, given.overrides)
            entry = await self._service.revise(overridden.feedback_id, change, principal, DIALECT)
        else:
            item = given.named(trace_id, {**raw, "trace_id": trace_id})
            [entry] = await self._service.give_named([item], principal, dialect=DIALECT, rule=replace_by_id)
        response = _assessment_response(entry)
        response.headers.update(fields.joined_headers([entry]))
        return response

    @Endpoint(
        "GET",
        "/{assessment_id:[^/]+}",
        Role.READ,
        "Read an assessment",
        reply=AssessmentReply,
        failures=(404, 503),
        example=Example(path=_EXAMPLE_PATH),
    )
    async def _show(self, request: web.Request, principal: Principal) -> web.Response:
        """Feedback of any API."""
        return _assessment_response(await self._find(request, principal))

    @Endpoint(
        "PATCH",
        "/{assessment_id:[^/]+}",
        Role.FEEDBACK,
        "Change an assessment",
        body=AssessmentPatch,
        reply=AssessmentReply,
        failures=(400, 404, 409),
        example=Example(
            path=_EXAMPLE_PATH,
            body={"assessment": {"rationale": "Nearly right."}, "update_mask": "rationale"},
        ),
    )
    async def _change(self, request: web.Request, principal: Principal) -> web.Response:
        """Makes a new version of it with the fields in the mask; earlier versions are kept."""
        given = validate_body(AssessmentPatch, await read_json(request, self._max_body_bytes))
        change = _AssessmentChange(_masked(given))
        found = await self._find(request, principal)
        return _assessment_response(await self._service.revise(found.feedback_id, change, principal, DIALECT))

    @Endpoint(
        "DELETE", "/{assessment_id:[^/]+}", Role.ADMIN, "Delete an assessment", failures=(404, 503),
        example=Example(path=_EXAMPLE_PATH),
    )  # fmt: skip
    async def _delete(self, request: web.Request, principal: Principal) -> DeletedReply:
        """It no longer counts and is no longer listed; its versions are kept."""
        found = await self._find(request, principal)
        await self._service.withdraw(found.feedback_id, principal, DIALECT)
        return DeletedReply()

    async def _find(
        self, request: web.Request, principal: Principal, assessment_id: str | None = None
    ) -> Feedback:
        """Return an entry on the trace of the path, by default that of the path. Raises NotFound."""
        wanted, trace_id = (
            assessment_id or request.match_info["assessment_id"],
            request.match_info["trace_id"],
        )
        entry = await self._service.entry(_entry_id(wanted), principal)
        if not {entry.trace_id, entry.subject_id}.intersection(_trace_names(trace_id)):
            raise NotFound(
                f"the assessment {wanted[:80]!r} is not on the trace {trace_id[:80]!r}.",
                field="assessment_id",
            )
        return entry


def _masked(given: AssessmentPatch) -> dict[str, object]:
    changed = {}
    for mask in filter(None, map(str.strip, given.update_mask.split(","))):
        name = re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", mask)
        if name not in CHANGEABLE:
            raise BadInput(f"may name {', '.join(CHANGEABLE)}; got {mask[:80]!r}.", field="update_mask")
        changed[name] = given.assessment.get(name)
    return changed


def _entry_id(assessment_id: str) -> str:
    try:
        return str(UUID(hex=assessment_id.removeprefix(_ID_PREFIX)))
    except ValueError:
        raise NotFound(f"no assessment has the id {assessment_id[:80]!r}.", field="assessment_id") from None


def _assessment_of(entry: Feedback) -> dict[str, object]:
    if entry.dialect == DIALECT:
        stated: dict[str, object] = orjson.loads(entry.raw)
        return stated
    value = entry.label if entry.value is None else entry.value
    edited = {"expectation": {"value": entry.edited_text}} if entry.edited_text else None
    return {
        "assessment_name": (EXPECTED_RESPONSE if edited else entry.metric or entry.kind.value),
        "trace_id": entry.trace_id or entry.subject_id,
        "source": {
            "source_type": _SOURCE_TYPES.get(entry.source, "HUMAN"),
            "source_id": entry.author or _NO_NAME,
        },
        **(edited or {"feedback": {"value": value}}),
        "rationale": entry.comment,
        "metadata": dict(entry.metadata),
    }


def _assessment_response(entry: Feedback) -> web.Response:
    assessment = {
        **{name: value for name, value in _assessment_of(entry).items() if value is not None},
        "assessment_id": _ID_PREFIX + entry.feedback_id.replace("-", ""),
        "create_time": format_rfc3339(entry.created_at_us, "milliseconds"),
        "last_update_time": format_rfc3339(entry.updated_at_us, "milliseconds"),
        "valid": True,
    }
    assessment.setdefault("source", {"source_type": "HUMAN", "source_id": _NO_NAME})
    return _json({"assessment": assessment})


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")
