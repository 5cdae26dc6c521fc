"""`/v1/logs`: insert logs of requests made elsewhere, and read one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Protocol
from urllib.parse import urlsplit

import orjson
from aiohttp import web
from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool

from gateway.api.portkey.exports import ExportEndpoints
from gateway.api.portkey.feedback import DIALECT
from gateway.api.portkey.log_object import LogObject, UrlResolver, to_log_object
from gateway.api.portkey.schemas import FailureResponse, json_response, render_error
from gateway.datasets.files import ExportLinks
from gateway.datasets.jobs import ExportJobs
from gateway.errors import BadInput
from gateway.feedback.idempotency import idempotent_call
from gateway.models.clock import now_us
from gateway.models.exchange import Exchange, Identity, Outcome, RawHeaders
from gateway.models.feedback import Receipt
from gateway.models.ids import MAX_ID_BYTES, is_valid_id, new_id
from gateway.models.principal import Principal, Role
from gateway.query.requests import RequestReader
from gateway.web.bodies import (
    abbreviate,
    field_path,
    parse_id,
    read_idempotency_key,
    read_json,
    validate_body,
)
from gateway.web.endpoint import Api, Endpoint
from gateway.web.feedback import Metadata, list_entries, optional_field
from gateway.wire import endpoint_of

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
MAX_URL = 8192
"""Longest URL taken, in characters."""
MAX_MILLISECONDS = 10**9
"""Longest time taken that a response may have needed."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_LINE_BREAK = re.compile("[\r\n\0]")


def _check_url(value: object) -> str:
    """A URL without the name and password that may be in it."""
    if isinstance(value, str) and len(value) <= MAX_URL and value.isprintable() and " " not in value:
        try:
            parts = urlsplit(value)
            if parts.scheme and parts.hostname:
                return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        except ValueError:
            pass
    raise ValueError(
        f"must be a whole URL such as https://api.openai.com/v1/chat/completions; got {abbreviate(value)}"
    )


def _check_method(value: object) -> str:
    if isinstance(value, str) and value.upper() in METHODS:
        return value.upper()
    raise ValueError(f"must be one of {', '.join(METHODS)}; got {abbreviate(value)}")


def _check_provider(value: object) -> str:
    name = value.removeprefix("@") if isinstance(value, str) else ""
    if is_valid_id(name):
        return name
    raise ValueError(f"must be a printable string of 1 to {MAX_ID_BYTES} bytes; got {abbreviate(value)}")


def _check_headers(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f"must be an object; got {abbreviate(value)}")
    for name, text in value.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"holds {abbreviate(name)}, which is no name of a header")
        if not isinstance(text, str) or _LINE_BREAK.search(text):
            raise ValueError(f"must hold a string without line breaks under {name!r}; got {abbreviate(text)}")
    return value


def _check_body(value: object) -> object:
    if value is None or isinstance(value, dict | list | str):
        return value
    raise ValueError(f"must be an object, an array, a string, or null for no body; got {abbreviate(value)}")


def _check_status(value: object) -> int:
    if type(value) is int and 100 <= value <= 599:
        return value
    raise ValueError(f"must be an integer from 100 to 599; got {abbreviate(value)}")


def _check_milliseconds(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_MILLISECONDS:
        return value
    raise ValueError(f"must be a number of milliseconds up to {MAX_MILLISECONDS:,}; got {abbreviate(value)}")


JsonBody = dict[str, object] | list[object] | str

Url = Annotated[str, Field(max_length=MAX_URL), BeforeValidator(_check_url)]
Method = Annotated[str, BeforeValidator(_check_method)]
ProviderName = Annotated[str | None, optional_field(_check_provider, accepts=str)]
HeaderFields = Annotated[dict[str, str] | None, optional_field(_check_headers, accepts=dict[str, str])]
Body = Annotated[object, BeforeValidator(_check_body, json_schema_input_type=JsonBody | None)]
Status = Annotated[int | None, optional_field(_check_status, accepts=Annotated[int, Field(ge=100, le=599)])]
Milliseconds = Annotated[
    float | None,
    optional_field(_check_milliseconds, accepts=Annotated[float, Field(ge=0, le=MAX_MILLISECONDS)]),
]


_ID_KEYS = {
    "trace_id": ("trace_id", "traceId"),
    "span_id": ("span_id", "spanId"),
    "parent_span_id": ("parent_span_id", "parentSpanId"),
    "span_name": ("span_name", "spanName"),
}
"""Keys of metadata that say where a request belongs, in the two spellings that Portkey's pages have."""

_METADATA_ALIASES = {"_user": "user", "_organisation": "organization"}
"""Keys of metadata that Portkey's page names, by those that mean the same everywhere else."""

_TRANSFER_HEADERS = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""Header fields about how a body was sent, which is not how it is told here."""


class CustomLogRequest(BaseModel):
    """What was asked."""

    model_config = ConfigDict(frozen=True)

    url: Url = Field(description="The whole URL. A name and password in it are left out.")
    method: Method = "POST"
    provider: ProviderName = Field(
        None, description="Any name; else that of the header `x-portkey-provider`, else the URL's host."
    )
    headers: HeaderFields = None
    body: Body = Field(description="JSON, or other text as a string; null for none.")


class CustomLogResponse(BaseModel):
    """What was answered."""

    model_config = ConfigDict(frozen=True)

    status: Status = Field(None, description="200 if nothing is said.")
    headers: HeaderFields = None
    body: Body = Field(description="As in requests; a stream as its text, or put together as JSON.")
    response_time: Milliseconds = Field(
        None,
        validation_alias=AliasChoices("response_time", "time"),
        description="Milliseconds that it took, up to now.",
    )
    streamingMode: StrictBool | None = Field(
        None, description="Whether it came as a stream; where headers have a content type, that says so."
    )


class CustomLog(BaseModel):
    """A request that went elsewhere."""

    model_config = ConfigDict(frozen=True)

    request: CustomLogRequest
    response: CustomLogResponse
    metadata: Metadata = Field(
        None,
        description="`trace_id`, `span_id`, `parent_span_id` and `span_name`, and anything else that is to be "
        "found with it; as of a request that passes the gateway in `x-portkey-metadata`.",
    )


def to_exchanges(body: object, at_us: int) -> list[Exchange]:
    """Return the requests that a body tells of: one, or an array of 1 to 1,000.

    Args:
        at_us: when they ended.

    Raises:
        BadInput: one is not as `CustomLog` wants it; names the field, with its index in an array.
    """
    return [_to_exchange(validate_body(CustomLog, entry, at), at, at_us) for at, entry in list_entries(body)]


def _to_exchange(log: CustomLog, at: str, at_us: int) -> Exchange:
    request, response = log.request, log.response
    request_body, response_body = _to_bytes(request.body), _to_bytes(response.body)
    return Exchange(
        identity=_identity(log.metadata or {}, at),
        provider=_provider_name(log),
        endpoint=endpoint_of(urlsplit(request.url).path),
        method=request.method,
        path=request.url,
        started_at_us=at_us - round(1000 * (response.response_time or 0)),
        ended_at_us=at_us,
        status=200 if response.status is None else response.status,
        outcome=Outcome.COMPLETE,
        request_headers=_raw_headers(request.headers or {}),
        request_body=request_body,
        request_size=len(request_body),
        response_headers=_with_content_type(
            _raw_headers(response.headers or {}), is_stream=bool(response.streamingMode)
        ),
        response_body=response_body,
        response_size=len(response_body),
    )


def _identity(metadata: Mapping[str, object], at: str) -> Identity:
    ids: dict[str, str] = {}
    rest = dict(metadata)
    for name, spellings in _ID_KEYS.items():
        for spelling in spellings:
            if (value := rest.pop(spelling, None)) is not None:
                ids[name] = _to_id(value, field_path(["metadata", spelling], at))
    tags = {tag: rest[name] for tag, name in _METADATA_ALIASES.items() if name in rest}
    trace_id = ids.pop("trace_id", None) or new_id()
    return Identity(new_id(), trace_id, **ids, metadata=tags | rest)


def _to_id(value: object, field: str) -> str:
    try:
        return parse_id(value)
    except ValueError as problem:
        raise BadInput(f"{problem}.", field=field) from None


def _provider_name(log: CustomLog) -> str:
    """The provider's name: as it is given, or as the request's own header has it, or else the URL's host."""
    if log.request.provider is not None:
        return log.request.provider
    for name, value in (log.request.headers or {}).items():
        if name.lower() == "x-portkey-provider" and is_valid_id(named := value.removeprefix("@")):
            return named
    return urlsplit(log.request.url).hostname or ""


def _raw_headers(headers: Mapping[str, str]) -> RawHeaders:
    return tuple(
        (name.encode(), value.encode())
        for name, value in headers.items()
        if name.lower() not in _TRANSFER_HEADERS
    )


def _with_content_type(fields: RawHeaders, *, is_stream: bool) -> RawHeaders:
    if any(name.lower() == b"content-type" for name, _ in fields):
        return fields
    return (*fields, (b"content-type", b"text/event-stream" if is_stream else b"application/json"))


def _to_bytes(body: object) -> bytes:
    if body is None:
        return b""
    return body.encode() if isinstance(body, str) else orjson.dumps(body)


class LogIngestion(Protocol):
    """Where requests that went elsewhere are entered."""

    async def insert(
        self, exchanges: Sequence[Exchange], principal: Principal, receipt: Receipt | None = None
    ) -> list[str]:
        """Store exchanges as this caller's, all or none, and return their request ids in the same order; those
        of the first time where the receipt says that this is a retry."""


class LogsResponse(BaseModel):
    """What was stored."""

    status: Literal["success"] = "success"
    message: str
    log_ids: list[str] = Field(description="Ids of the logs, in the order in which they were sent.")


class LogEndpoints:
    """Handlers of the log's paths.

    Args:
        url_of: where a provider was asked.
        max_body_bytes: longest body taken.
    """

    def __init__(
        self, log_book: LogIngestion, requests: RequestReader, url_of: UrlResolver, max_body_bytes: int
    ) -> None:
        self._log_book = log_book
        self._requests = requests
        self._url_of = url_of
        self._max_body_bytes = max_body_bytes

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the paths and what is found there."""
        return (
            Endpoint(
                method="POST",
                path="/v1/logs",
                handler=self._insert,
                role=Role.PROXY,
                summary="Tell of requests that went elsewhere",
                description="Takes one or an array of up to 1,000, all or none. They are logged like those that "
                "pass the gateway.",
                body=CustomLog | list[CustomLog],
                reply=LogsResponse,
                failures=(400, 409, 413, 503),
            ),
            Endpoint(
                method="GET",
                # Ids may hold slashes. One at the very end has to be sent as %2F.
                path="/v1/logs/{log_id:(?!exports(?:/|$)).*[^/]}",
                handler=self._show,
                role=Role.READ,
                summary="Read a log",
                description="By our request id or the provider's id of its response. An id that several requests "
                "share is refused. Streams are put together.",
                reply=LogObject,
                failures=(404, 409, 413, 503, 504),
            ),
        )

    async def _insert(self, request: web.Request, principal: Principal) -> web.Response:
        key = read_idempotency_key(request.headers)
        body = await read_json(request, self._max_body_bytes)
        # Many logs take long to go through, and other callers' streams go through this thread.
        exchanges = await asyncio.to_thread(to_exchanges, body, now_us())
        receipt = await asyncio.to_thread(_receipt, exchanges, body, key, principal) if key else None
        log_ids = await self._log_book.insert(exchanges, principal, receipt)
        return json_response(LogsResponse(message="Logs successfully saved", log_ids=log_ids))

    async def _show(self, request: web.Request, principal: Principal) -> web.Response:
        logged = await self._requests.show(request.match_info["log_id"], principal.tenant)
        body = await asyncio.to_thread(to_log_object, logged, self._url_of)
        return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})


def _receipt(exchanges: Sequence[Exchange], body: object, key: str, principal: Principal) -> Receipt | None:
    """The proof that a call under this key made these exchanges of its body."""
    call = idempotent_call(principal, DIALECT, "log", key, [("", orjson.dumps(body).decode())])
    return call.receipt([exchange.identity.request_id for exchange in exchanges]) if call else None


def portkey_logs_api(
    log_book: LogIngestion,
    requests: RequestReader,
    jobs: ExportJobs,
    links: ExportLinks,
    url_of: UrlResolver,
    max_body_bytes: int,
) -> Api:
    """Return the face of `/v1/logs`.

    Args:
        url_of: where a provider was asked.
        max_body_bytes: longest body taken.
    """
    return Api(
        name="portkey logs",
        prefixes=("/v1/logs",),
        endpoints=(
            *ExportEndpoints(jobs, links, max_body_bytes).endpoints(),
            *LogEndpoints(log_book, requests, url_of, max_body_bytes).endpoints(),
        ),
        render_error=render_error,
        error_model=FailureResponse,
    )
