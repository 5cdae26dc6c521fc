"""Errors rendered in the format of the provider that the client expects."""

import orjson
from aiohttp import web

from gateway.errors import GatewayError, UpgradeNotSupported, UpstreamTimeout
from gateway.models.exchange import Identity, Outcome
from gateway.models.guardrails import DENIED_STATUS, FAILED_REASON
from gateway.proxy.request_head import identity_fields
from gateway.recording.capture import Capture
from gateway.routing.guardrails import GuardrailDenied
from gateway.web.middleware import error_headers

# By status: OpenAI's and Anthropic's type, Google's status, Bedrock's exception (by which its SDKs raise).
# Sources: OpenAI API reference, "Error codes"; Anthropic API reference, "Errors"; Google's API design guide,
# "Errors"; botocore 1.44, `parsers.py`.
ERROR_NAMES = {
    400: ("invalid_request_error", "INVALID_ARGUMENT", "ValidationException"),
    401: ("authentication_error", "UNAUTHENTICATED", "AccessDeniedException"),
    402: ("billing_error", "RESOURCE_EXHAUSTED", "ServiceQuotaExceededException"),
    403: ("permission_error", "PERMISSION_DENIED", "AccessDeniedException"),
    404: ("not_found_error", "NOT_FOUND", "ResourceNotFoundException"),
    408: ("timeout_error", "INTERNAL", "ModelTimeoutException"),
    413: ("request_too_large", "INVALID_ARGUMENT", "ValidationException"),
    429: ("rate_limit_error", "RESOURCE_EXHAUSTED", "ThrottlingException"),
    DENIED_STATUS: ("hooks_failed", "FAILED_PRECONDITION", "ValidationException"),
    502: ("api_error", "UNAVAILABLE", "InternalServerException"),
    503: ("overloaded_error", "UNAVAILABLE", "ServiceUnavailableException"),
    504: ("timeout_error", "DEADLINE_EXCEEDED", "ModelTimeoutException"),
}
_OTHER_NAMES = ("api_error", "INTERNAL", "InternalServerException")


def note_failure(capture: Capture, error: GatewayError) -> Outcome:
    """Give an attempt the status of an error, if it has none; return how it ended."""
    if capture.status is not None:
        return Outcome.UPSTREAM_TRUNCATED
    capture.status = error.status
    return Outcome.TIMEOUT if isinstance(error, UpstreamTimeout) else Outcome.UPSTREAM_ERROR


def render_error(
    error: GatewayError, endpoint: str, identity: Identity | None, user_agent: str = ""
) -> web.Response:
    """Return an error in the format of the endpoint's provider, or of OpenAI where that is not known.

    Sources: the pages "Errors" of the API references of Ollama, Cohere and DashScope, and of those above.
    """
    _, _, bedrock_exception = ERROR_NAMES.get(error.status, _OTHER_NAMES)
    headers = ({} if identity is None else identity_fields(identity)) | error_headers(error)
    if endpoint.startswith("bedrock."):
        headers["x-amzn-ErrorType"] = bedrock_exception
    body = _error_body(error, endpoint, identity, user_agent)
    if isinstance(error, GuardrailDenied):
        body["hook_results"] = error.hook_results
    # The standard has no reason for it.
    reason = FAILED_REASON if error.status == DENIED_STATUS else None
    response = web.Response(
        status=error.status,
        reason=reason,
        body=orjson.dumps(body),
        content_type="application/json",
        headers=headers,
    )
    if isinstance(error, UpgradeNotSupported):
        response.force_close()
    return response


def _error_body(
    error: GatewayError, endpoint: str, identity: Identity | None, user_agent: str
) -> dict[str, object]:
    kind, google_status, _ = ERROR_NAMES.get(error.status, _OTHER_NAMES)
    text = str(error)
    if endpoint.partition(".")[0] == "messages":
        return {"type": "error", "error": {"type": kind, "message": text}}
    if endpoint.startswith("gemini."):
        return {"error": {"code": error.status, "message": text, "status": google_status}}
    if endpoint.startswith(("ollama.", "tgi.")):
        return {"error": text}
    if endpoint.startswith("bedrock."):
        return {"message": text}
    if endpoint.startswith("dashscope."):
        named = {"request_id": identity.request_id} if identity else {}
        return {"code": error.code, "message": text, **named}
    # OpenRouter's SDK reads no error whose code is no integer.
    code = error.status if "openrouter" in user_agent else error.code
    # Cohere's, Voyage's and other SDKs that ask for paths of OpenAI's look for a text at the top.
    fields = {"message": text, "type": kind, "param": error.field, "code": code}
    return {"error": fields, "message": text, "detail": text}


def stream_error(error: GatewayError, endpoint: str, *, is_lines: bool) -> bytes:
    """Return an error as the last event of a stream that was begun, in the format of the endpoint's provider.

    Args:
        is_lines: whether the stream is JSON by the line instead of server-sent events.
    """
    body = orjson.dumps(_error_body(error, endpoint, None, ""))
    if is_lines:
        return b"\n" + body + b"\n"
    if endpoint == "responses":
        said = {"type": "error", "code": error.code, "message": str(error), "param": None}
        return b"\n\nevent: error\ndata: " + orjson.dumps(said) + b"\n\n"
    name = b"event: error\n" if endpoint.partition(".")[0] == "messages" else b""
    return b"\n\n" + name + b"data: " + body + b"\n\n"
