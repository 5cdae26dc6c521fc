"""Errors as a provider's clients expect them."""

from __future__ import annotations

import json

import botocore.parsers
import botocore.session
import pytest

from gateway.errors import (
    BadInput,
    Forbidden,
    GatewayError,
    NotFound,
    StoreUnavailable,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    UpstreamError,
    UpstreamTimeout,
)
from gateway.models.exchange import Identity
from gateway.proxy.errors import render_error

KINDS: list[tuple[GatewayError, int, str]] = [
    (BadInput("no", field="x"), 400, "invalid_request_error"),
    (Unauthorized("no"), 401, "authentication_error"),
    (Forbidden("no"), 403, "permission_error"),
    (NotFound("no"), 404, "not_found_error"),
    (TooLarge("no"), 413, "request_too_large"),
    (GatewayError("no"), 500, "api_error"),
    (UpstreamError("no"), 502, "api_error"),
    (StoreUnavailable("no"), 503, "overloaded_error"),
    (UpstreamTimeout("no"), 504, "timeout_error"),
]

GOOGLE = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def shown(error: GatewayError, endpoint: str) -> dict[str, object]:
    body = render_error(error, endpoint, None).body
    assert isinstance(body, bytes)
    drawn: dict[str, object] = json.loads(body)
    return drawn


@pytest.mark.parametrize(("error", "status", "kind"), KINDS)
def test_an_error_is_drawn_as_openai_draws_it(error: GatewayError, status: int, kind: str) -> None:
    assert render_error(error, "chat.completions", None).status == status
    expected = {"message": str(error), "type": kind, "param": error.field, "code": error.code}
    at_the_top = {"message": str(error), "detail": str(error)}
    assert shown(error, "other") == shown(error, "cohere.chat") == {"error": expected, **at_the_top}


def test_openrouters_sdk_gets_the_integer_without_which_it_reads_no_error() -> None:
    user_agent = "speakeasy-sdk/python 1.3.84 2.914.0 1.0.0 openrouter"
    body = render_error(Unauthorized("no"), "chat.completions", None, user_agent).body
    assert isinstance(body, bytes)
    assert json.loads(body)["error"]["code"] == 401


@pytest.mark.parametrize(("error", "status", "kind"), KINDS)
def test_an_error_of_messages_is_drawn_as_anthropic_draws_it(
    error: GatewayError, status: int, kind: str
) -> None:
    assert render_error(error, "messages", None).status == status
    assert shown(error, "messages") == {"type": "error", "error": {"type": kind, "message": str(error)}}


@pytest.mark.parametrize(("error", "status", "kind"), KINDS)
def test_an_error_of_gemini_is_drawn_as_google_draws_it(error: GatewayError, status: int, kind: str) -> None:
    drawn = shown(error, "gemini.generate")
    name = GOOGLE.get(status, "INTERNAL")
    assert drawn == {"error": {"code": status, "message": str(error), "status": name}}


@pytest.mark.parametrize(("error", "status", "kind"), KINDS)
def test_an_error_of_ollama_is_a_text(error: GatewayError, status: int, kind: str) -> None:
    assert render_error(error, "ollama.chat", None).status == status
    assert shown(error, "ollama.chat") == {"error": str(error)}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BadInput("no", field="x"), "ValidationException"),
        (Unauthorized("no"), "AccessDeniedException"),
        (NotFound("no"), "ResourceNotFoundException"),
        (TooManyRequests("no", retry_after_seconds=1), "ThrottlingException"),
        (UpstreamError("no"), "InternalServerException"),
        (StoreUnavailable("no"), "ServiceUnavailableException"),
        (UpstreamTimeout("no"), "ModelTimeoutException"),
    ],
)
def test_an_error_of_bedrocks_is_what_amazons_sdk_raises_by_that_name(error: GatewayError, kind: str) -> None:
    drawn = render_error(error, "bedrock.converse", None)
    model = botocore.session.Session().get_service_model("bedrock-runtime")
    answer = {"status_code": drawn.status, "headers": drawn.headers, "body": drawn.body}
    parsed = botocore.parsers.RestJSONParser().parse(answer, model.operation_model("Converse").output_shape)
    assert parsed["Error"] == {"Message": str(error), "Code": kind}


@pytest.mark.parametrize(("error", "status", "kind"), KINDS)
def test_an_error_of_dashscope_has_its_code_beside_its_message(
    error: GatewayError, status: int, kind: str
) -> None:
    assert render_error(error, "dashscope.generation", None).status == status
    assert shown(error, "dashscope.generation") == {"code": error.code, "message": str(error)}


def test_the_ids_of_the_request_come_with_the_error() -> None:
    headers = render_error(NotFound("no"), "other", Identity("r-1", "t-ü")).headers
    assert (headers["helicone-id"], headers["x-portkey-trace-id"]) == ("r-1", "t-ü")


def test_who_may_try_again_is_told_when() -> None:
    assert int(render_error(StoreUnavailable("no"), "messages", None).headers["Retry-After"]) > 0


def test_who_brought_no_key_is_told_what_kind_is_wanted() -> None:
    assert render_error(Unauthorized("no"), "other", None).headers["WWW-Authenticate"].startswith("Bearer")
