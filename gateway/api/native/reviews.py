"""`/api/v1/reviews`: reserve and review requests, list reviews, and how far people and models agree."""

from __future__ import annotations

from typing import Annotated, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from gateway.api.native.filters import DEFAULT_LIMIT, FilterParams, Limit, OneRequestParams, ReviewListCursor
from gateway.api.native.http_responses import NextCursor, UnknownKeys
from gateway.api.native.metrics import EstimateShape
from gateway.api.native.schemas import CurrentReview, LoggedRow, ReviewShape, Time, format_time, logged_rows
from gateway.errors import BadInput
from gateway.models.principal import Principal, Role
from gateway.models.reviews import MAX_NOTE_CHARS, ReviewState
from gateway.query.filters import REQUEST_FILTERS, REVIEW_FILTERS
from gateway.query.requests import RequestReader
from gateway.reviews.agreement import (
    Agreement,
    AgreementReader,
    ModelAgreement,
    PairAgreement,
    PeopleAgreement,
)
from gateway.reviews.queue import ReviewQueue
from gateway.web import feedback as fields
from gateway.web.bodies import read_json, validate_body
from gateway.web.endpoint import Endpoint, Example, Schema

Note = Annotated[
    fields.Text, Field(None, max_length=MAX_NOTE_CHARS, description="For the others; needs `reviewed`.")
]


class ReviewInput(BaseModel):
    """What the caller does with the request."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: Literal["open", "reserved", "reviewed"] = Field(
        description="`reserved`: keep it for ten minutes, or for ten more; `reviewed`: done with it; `open`: give "
        "it back."
    )
    note: Note = None


class ReviewReply(Schema):
    review: CurrentReview


class NextReviewReply(Schema):
    request: LoggedRow | None = Field(description="Null where no matching request is open.")
    review: CurrentReview
    unknown_keys: UnknownKeys


class ReviewListReply(Schema):
    data: list[ReviewShape] = Field(description="Newest first.")
    next_cursor: NextCursor


class PairShape(Schema):
    """Two people who scored the same requests."""

    people: list[str]
    requests: int
    same_sign: EstimateShape = Field(
        description="Share of requests that both scored below 0, both 0, or both above, with Wilson's interval."
    )
    kappa: EstimateShape | None = Field(
        description="Cohen's kappa of these signs: 1 full agreement, 0 as by chance; null where both always gave "
        "the same sign."
    )

    @classmethod
    def of(cls, pair: PairAgreement) -> PairShape:
        same_sign = EstimateShape(
            value=pair.same_sign.value, low=pair.same_sign.low, high=pair.same_sign.high
        )
        return cls(
            people=list(pair.people),
            requests=pair.requests,
            same_sign=same_sign,
            kappa=EstimateShape.of(pair.kappa),
        )


class PeopleShape(Schema):
    """People on requests that at least two of them scored; the latest score of each counts."""

    people: int
    requests: int
    same_sign: EstimateShape | None = Field(
        description="Mean over requests of the share of pairs with the same sign, with Wilson's interval."
    )
    alpha: EstimateShape | None = Field(
        description="Krippendorff's alpha by the distance of scores; null where all scores are equal."
    )
    alpha_ordinal: float | None = Field(description="The same by the distance of their ranks.")
    pairs: list[PairShape] = Field(description="Those with most requests, at most 50.")

    @classmethod
    def of(cls, agreement: PeopleAgreement) -> PeopleShape:
        return cls(
            people=agreement.people, requests=agreement.requests, same_sign=EstimateShape.of(agreement.same_sign),
            alpha=EstimateShape.of(agreement.alpha), alpha_ordinal=agreement.alpha_ordinal,
            pairs=list(map(PairShape.of, agreement.pairs)),
        )  # fmt: skip


class ModelsShape(Schema):
    """Means of people and of models on requests that both scored."""

    requests: int
    human_mean: float | None
    model_mean: float | None
    same_sign: EstimateShape | None = Field(
        description="Share of requests where both means have the same sign, with Wilson's interval."
    )
    correlation: EstimateShape | None = Field(
        description="Pearson's coefficient; null where one side is always the same."
    )

    @classmethod
    def of(cls, agreement: ModelAgreement) -> ModelsShape:
        return cls(
            requests=agreement.requests, human_mean=agreement.human_mean, model_mean=agreement.model_mean,
            same_sign=EstimateShape.of(agreement.same_sign), correlation=EstimateShape.of(agreement.correlation),
        )  # fmt: skip


class AgreementReply(Schema):
    """Agreement of scores. Intervals of 95 % are by leaving out one request at a time where nothing else is said,
    and null for fewer than ten requests or without any spread."""

    scores: int = Field(description="Scores that were read.")
    read_back_to: Time | None = Field(
        description="Only scores of requests that started after this were read; there are too many. Null: all."
    )
    people: PeopleShape
    models: ModelsShape

    @classmethod
    def of(cls, agreement: Agreement) -> AgreementReply:
        return cls(
            scores=agreement.scores, read_back_to=format_time(agreement.read_back_to_us),
            people=PeopleShape.of(agreement.people), models=ModelsShape.of(agreement.models),
        )  # fmt: skip


class OpenRequestParams(FilterParams):
    filters = REQUEST_FILTERS


class ReviewListParams(FilterParams):
    filters = REVIEW_FILTERS

    limit: Limit = DEFAULT_LIMIT
    cursor: ReviewListCursor = None


class ReviewEndpoints:
    def __init__(
        self, reviews: ReviewQueue, agreement: AgreementReader, requests: RequestReader, max_body_bytes: int
    ) -> None:
        self._reviews = reviews
        self._agreement = agreement
        self._requests = requests
        self._max_body_bytes = max_body_bytes

    @Endpoint(
        "POST",
        "/api/v1/requests/{request_id:.*[^/]}/review",
        Role.REVIEW,
        "Reserve, review or open a request",
        body=ReviewInput,
        failures=(400, 404, 409, 503),
        example=Example(body={"state": "reviewed", "note": "The help page is outdated."}),
    )
    async def _change(
        self, request: web.Request, principal: Principal, params: OneRequestParams
    ) -> ReviewReply:
        """The caller's key is the reviewer. What somebody else has reserved or reviewed is refused with 409, which
        names them, until the reservation has expired; an admin may open it."""
        given = validate_body(ReviewInput, await read_json(request, self._max_body_bytes))
        if given.note is not None and given.state != "reviewed":
            raise BadInput("needs the state reviewed.", field="note")
        state = None if given.state == "open" else ReviewState(given.state)
        request_id = request.match_info["request_id"]
        changed = await self._reviews.change(
            request_id, state, principal, note=given.note, trace_id=params.trace_id, row=params.row
        )
        return ReviewReply(review=ReviewShape.of(changed.review))

    @Endpoint(
        "POST",
        "/api/v1/reviews/next",
        Role.REVIEW,
        "Reserve the next request to review",
        failures=(400, 503, 504),
        example=Example(query={"rating": "bad", "from": "7d"}),
    )
    async def _reserve_next(
        self, request: web.Request, principal: Principal, params: OpenRequestParams
    ) -> NextReviewReply:
        """The newest request that meets all filters and that nobody has reserved or reviewed, reserved for the
        caller for ten minutes in the same step."""
        reserved = await self._reviews.reserve_next(params.where(), principal)
        row: LoggedRow | None = None
        if (record := reserved.record) is not None:
            [row] = logged_rows([record], await self._requests.feedback_on([record]))
        review = ReviewShape.of(reserved.review)
        return NextReviewReply(request=row, review=review, unknown_keys=list(reserved.unknown_keys))

    @Endpoint(
        "GET",
        "/api/v1/reviews",
        Role.READ,
        "List reviews",
        failures=(400, 503, 504),
        example=Example(query={"limit": "2"}),
    )
    async def _list(
        self, request: web.Request, principal: Principal, params: ReviewListParams
    ) -> ReviewListReply:
        """Reviews, and reservations that have not expired. All filters must match. Newest first."""
        found = await self._reviews.find(params.where(), params.limit, params.cursor, principal.tenant)
        cursor = None if found.next_cursor is None else "{}.{}".format(*found.next_cursor)
        rows = [row for review in found.reviews if (row := ReviewShape.of(review)) is not None]
        return ReviewListReply(data=rows, next_cursor=cursor)

    @Endpoint(
        "GET",
        "/api/v1/reviews/agreement",
        Role.READ,
        "Compare the scores of people and models",
        failures=(400, 503, 504),
        example=Example(query={"from": "30d"}),
    )
    async def _compare(
        self, request: web.Request, principal: Principal, params: OpenRequestParams
    ) -> AgreementReply:
        """On requests that meet all filters. Of people count scores that rate the whole and have an author, of
        models all scores with the source `model`. At most 50,000 scores are read, those on the newest requests
        first."""
        return AgreementReply.of(await self._agreement.read(params.where(), principal.tenant))
