"""Errors rendered in the format of the provider that the client expects."""

from __future__ import annotations

import orjson
from aiohttp import web

from gateway.errors import GatewayError, UpgradeNotSupported
from gateway.models.exchange import Identity
from gateway.proxy.request_head import identity_fields
from gateway.web.middleware import error_headers

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}

GOOGLE_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}

BEDROCK_EXCEPTIONS = {
    400: "ValidationException",
    401: "AccessDeniedException",
    402: "ServiceQuotaExceededException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    413: "ValidationException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
    504: "ModelTimeoutException",
}
"""What Bedrock calls such errors; its SDKs raise them by these names."""


def render_error(
    error: GatewayError, endpoint: str, identity: Identity | None, user_agent: str = ""
) -> web.Response:
    """Draw an error as the provider whose endpoint it is does; where that is not known, as OpenAI does.

    Args:
        user_agent: what called; OpenRouter's SDK reads no error whose code is no integer.

    Sources: OpenAI API reference, "Error codes"; Anthropic API reference, "Errors"; Google's API design guide,
    "Errors"; Ollama's, Cohere's and DashScope's API references, "Errors"; botocore 1.44, `parsers.py`.
    """
    kind = ERROR_TYPES.get(error.status, "api_error")
    ids = {} if identity is None else dict(identity_fields(identity))
    headers = {name.decode(): value.decode() for name, value in ids.items()} | error_headers(error)
    body: dict[str, object]
    if endpoint.partition(".")[0] == "messages":
        body = {"type": "error", "error": {"type": kind, "message": str(error)}}
    elif endpoint.startswith("gemini."):
        status = GOOGLE_STATUSES.get(error.status, "INTERNAL")
        body = {"error": {"code": error.status, "message": str(error), "status": status}}
    elif endpoint.startswith(("ollama.", "tgi.")):
        body = {"error": str(error)}
    elif endpoint.startswith("bedrock."):
        body = {"message": str(error)}
        headers["x-amzn-ErrorType"] = BEDROCK_EXCEPTIONS.get(error.status, "InternalServerException")
    elif endpoint.startswith("dashscope."):
        named = {"request_id": identity.request_id} if identity else {}
        body = {"code": error.code, "message": str(error), **named}
    else:
        text = str(error)
        code = error.status if "openrouter" in user_agent else error.code
        # Cohere's, Voyage's and other SDKs that ask for paths of OpenAI's look for a text at the top.
        body = {
            "error": {"message": text, "type": kind, "param": error.field, "code": code},
            "message": text,
            "detail": text,
        }
    response = web.Response(
        status=error.status,
        body=orjson.dumps(body),
        content_type="application/json",
        headers=headers,
    )
    if isinstance(error, UpgradeNotSupported):
        response.force_close()
    return response
