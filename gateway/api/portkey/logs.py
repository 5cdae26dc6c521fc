"""`/v1/logs`: insert logs of requests made elsewhere, and read one."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Protocol
from urllib.parse import urlsplit

import orjson
from aiohttp import web
from pydantic import AliasChoices, BaseModel, BeforeValidator, Field, StrictBool

from gateway.api.portkey.exports import ExportEndpoints
from gateway.api.portkey.feedback import DIALECT
from gateway.api.portkey.log_object import LogObject, UrlResolver, to_log_object
from gateway.api.portkey.schemas import FailureResponse, render_error
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
from gateway.web.endpoint import Api, Endpoint, Example, Schema, Tag, endpoints_of
from gateway.web.feedback import Metadata, is_number, list_entries, optional_field
from gateway.wire import endpoint_of

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
MAX_URL = 8192
MAX_MILLISECONDS = 10**9

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_LINE_BREAK = re.compile("[\r\n\0]")


def _check_url(value: object) -> str:
    if isinstance(value, str) and len(value) <= MAX_URL and value.isprintable() and " " not in value:
        try:
            parts = urlsplit(value)
            if parts.scheme and parts.hostname:
                # A URL may hold a user name and a password, which must not be logged.
                return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        except ValueError:
            pass
    example = "https://api.openai.com/v1/chat/completions"
    raise ValueError(f"must be a whole URL such as {example}; got {abbreviate(value)}")


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
            raise ValueError(f"holds {abbreviate(name)}, which is not a header name")
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
    if is_number(value) and 0 <= value <= MAX_MILLISECONDS:
        return value
    raise ValueError(f"must be a number of milliseconds up to {MAX_MILLISECONDS:,}; got {abbreviate(value)}")


JsonBody = dict[str, object] | list[object] | str

Url = Annotated[str, Field(max_length=MAX_URL), BeforeValidator(_check_url)]
Method = Annotated[str, BeforeValidator(_check_method)]
ProviderName = Annotated[str | None, optional_field(_check_provider, accepts=str)]
HeaderFields = Annotated[dict[str, str] | None, optional_field(_check_headers, accepts=dict[str, str])]
Body = Annotated[object, BeforeValidator(_check_body, json_schema_input_type=JsonBody | None)]
Status = Annotated[int | None, optional_field(_check_status, accepts=Annotated[int, Field(ge=100, le=599)])]
_MillisecondRange = Annotated[float, Field(ge=0, le=MAX_MILLISECONDS)]
Milliseconds = Annotated[float | None, optional_field(_check_milliseconds, accepts=_MillisecondRange)]


# Metadata keys of the ids of a request, in the two spellings of Portkey's documentation.
_ID_KEYS = {
    "trace_id": ("trace_id", "traceId"),
    "span_id": ("span_id", "spanId"),
    "parent_span_id": ("parent_span_id", "parentSpanId"),
    "span_name": ("span_name", "spanName"),
}
# Metadata keys of this endpoint alone, by the keys that mean the same everywhere else.
_METADATA_ALIASES = {"_user": "user", "_organisation": "organization"}

# They describe how a body was sent, and the logged body is decoded.
_TRANSFER_HEADERS = frozenset({"content-encoding", "content-length", "transfer-encoding"})


class CustomLogRequest(Schema):
    """The request as it was sent."""

    url: Url = Field(description="The absolute URL. A user name and password in it are removed.")
    method: Method = "POST"
    provider: ProviderName = Field(
        None, description="Any name; absent: the header `x-portkey-provider`, or else the host of the URL."
    )
    headers: HeaderFields = None
    body: Body = Field(description="JSON, or other text as a string; null for none.")


class CustomLogResponse(Schema):
    """The response as it was received."""

    status: Status = Field(None, description="Absent: 200.")
    headers: HeaderFields = None
    body: Body = Field(description="As in requests; a stream as its text, or reassembled as JSON.")
    response_time: Milliseconds = Field(
        None,
        validation_alias=AliasChoices("response_time", "time"),
        description="Duration in milliseconds, ending now.",
    )
    streamingMode: StrictBool | None = Field(
        None, description="Whether it was a stream; a content type among the headers takes precedence."
    )


class CustomLog(Schema):
    """A request that did not pass the gateway."""

    request: CustomLogRequest
    response: CustomLogResponse
    metadata: Metadata = Field(
        None,
        description="`trace_id`, `span_id`, `parent_span_id` and `span_name`, and anything else, as in "
        "`x-portkey-metadata` of a proxied request.",
    )


def to_exchanges(body: object, at_us: int) -> list[Exchange]:
    """Return the requests in a body: one, or an array of 1 to 1,000.

    Args:
        at_us: when they ended.

    Raises:
        BadInput: one is not a valid `CustomLog`; names the field, with its index in an array.
    """
    return [_to_exchange(validate_body(CustomLog, entry, at), at, at_us) for at, entry in list_entries(body)]


def _to_exchange(log: CustomLog, at: str, at_us: int) -> Exchange:
    request, response = log.request, log.response
    request_body, response_body = _to_bytes(request.body), _to_bytes(response.body)
    response_headers = _raw_headers(response.headers or {})
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
        response_headers=_with_content_type(response_headers, is_stream=bool(response.streamingMode)),
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
    if log.request.provider is not None:
        return log.request.provider
    for name, value in (log.request.headers or {}).items():
        if name.lower() == "x-portkey-provider" and is_valid_id(named := value.removeprefix("@")):
            return named
    return urlsplit(log.request.url).hostname or ""


def _raw_headers(headers: Mapping[str, str]) -> RawHeaders:
    kept = ((name, value) for name, value in headers.items() if name.lower() not in _TRANSFER_HEADERS)
    return tuple((name.encode(), value.encode()) for name, value in kept)


def _with_content_type(fields: RawHeaders, *, is_stream: bool) -> RawHeaders:
    if any(name.lower() == b"content-type" for name, _ in fields):
        return fields
    return (*fields, (b"content-type", b"text/event-stream" if is_stream else b"application/json"))


def _to_bytes(body: object) -> bytes:
    if body is None:
        return b""
    return body.encode() if isinstance(body, str) else orjson.dumps(body)


class LogIngestion(Protocol):
    """Stores requests that did not pass the gateway."""

    async def insert(
        self, exchanges: Sequence[Exchange], principal: Principal, receipt: Receipt | None = None
    ) -> list[str]:
        """Store exchanges of this caller, all or none, and return their request ids in order; for a retry, the
        ids of the first call."""


class LogsResponse(BaseModel):
    """The stored logs."""

    status: Literal["success"] = "success"
    message: str
    log_ids: list[str] = Field(description="Ids of the logs, in the order in which they were sent.")


# Ids may contain slashes. One at the very end has to be sent as %2F.
LOG_PATH = "/v1/logs/{log_id:(?!exports(?:/|$)).*[^/]}"


class LogEndpoints:
    """Endpoints of logs.

    Args:
        url_of: returns the URL of a provider for a caller's path.
    """

    def __init__(
        self, log_ingestion: LogIngestion, requests: RequestReader, url_of: UrlResolver, max_body_bytes: int
    ) -> None:
        self._log_ingestion = log_ingestion
        self._requests = requests
        self._url_of = url_of
        self._max_body_bytes = max_body_bytes

    @Endpoint(
        "POST",
        "/v1/logs",
        Role.PROXY,
        "Insert logs of requests made elsewhere",
        body=CustomLog | list[CustomLog],
        failures=(400, 409),
        example=Example(
            body={
                "request": {
                    "url": "https://api.openai.com/v1/chat/completions",
                    "provider": "openai",
                    "body": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]},
                },
                "response": {
                    "status": 200,
                    "body": {"choices": [{"message": {"role": "assistant", "content": "Hi!"}}]},
                    "response_time": 420,
                },
                "metadata": {"_user": "ann", "traceId": "imported-1"},
            }
        ),
    )
    async def _insert(self, request: web.Request, principal: Principal) -> LogsResponse:
        """Takes one or an array of up to 1,000, all or none. They are logged like proxied requests."""
        key = read_idempotency_key(request.headers)
        body = await read_json(request, self._max_body_bytes)
        # Many logs take long to convert, and other callers' streams run on this thread.
        exchanges = await asyncio.to_thread(to_exchanges, body, now_us())
        receipt = await asyncio.to_thread(_receipt, exchanges, body, key, principal) if key else None
        log_ids = await self._log_ingestion.insert(exchanges, principal, receipt)
        return LogsResponse(message="Logs successfully saved", log_ids=log_ids)

    @Endpoint("GET", LOG_PATH, Role.READ, "Read a log", reply=LogObject, failures=(404, 409, 413, 503, 504))
    async def _show(self, request: web.Request, principal: Principal) -> web.Response:
        """By our request id or the provider's id of its response. An id that several requests share is
        refused. Streams are reassembled."""
        logged = await self._requests.show(request.match_info["log_id"], principal.tenant)
        body = await asyncio.to_thread(to_log_object, logged, self._url_of)
        return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})


def _receipt(exchanges: Sequence[Exchange], body: object, key: str, principal: Principal) -> Receipt | None:
    call = idempotent_call(principal, DIALECT, "log", key, [("", orjson.dumps(body).decode())])
    return call.receipt([exchange.identity.request_id for exchange in exchanges]) if call else None


def portkey_logs_api(
    log_ingestion: LogIngestion,
    requests: RequestReader,
    jobs: ExportJobs,
    links: ExportLinks,
    url_of: UrlResolver,
    max_body_bytes: int,
) -> Api:
    """Return the API of `/v1/logs`.

    Args:
        url_of: returns the URL of a provider for a caller's path.
    """
    return Api(
        name="portkey logs",
        tag=Tag("Portkey: Logs", "Insert and read logs, and export them, as clients of Portkey do."),
        prefixes=("/v1/logs",),
        endpoints=(
            *endpoints_of(ExportEndpoints(jobs, links, max_body_bytes)),
            *endpoints_of(LogEndpoints(log_ingestion, requests, url_of, max_body_bytes)),
        ),
        render_error=render_error,
        error_model=FailureResponse,
    )
