"""Errors rendered in the format of the provider that the client expects."""

import orjson
from aiohttp import web

from gateway.errors import GatewayError, UpgradeNotSupported
from gateway.models.exchange import Identity
from gateway.proxy.request_head import identity_fields
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
    502: ("api_error", "UNAVAILABLE", "InternalServerException"),
    503: ("overloaded_error", "UNAVAILABLE", "ServiceUnavailableException"),
    504: ("timeout_error", "DEADLINE_EXCEEDED", "ModelTimeoutException"),
}
_OTHER_NAMES = ("api_error", "INTERNAL", "InternalServerException")


def render_error(
    error: GatewayError, endpoint: str, identity: Identity | None, user_agent: str = ""
) -> web.Response:
    """Return an error in the format of the endpoint's provider, or of OpenAI where that is not known.

    Sources: the pages "Errors" of the API references of Ollama, Cohere and DashScope, and of those above.
    """
    kind, google_status, bedrock_exception = ERROR_NAMES.get(error.status, _OTHER_NAMES)
    text = str(error)
    ids = {} if identity is None else dict(identity_fields(identity))
    headers = {name.decode(): value.decode() for name, value in ids.items()} | error_headers(error)
    body: dict[str, object]
    if endpoint.partition(".")[0] == "messages":
        body = {"type": "error", "error": {"type": kind, "message": text}}
    elif endpoint.startswith("gemini."):
        body = {"error": {"code": error.status, "message": text, "status": google_status}}
    elif endpoint.startswith(("ollama.", "tgi.")):
        body = {"error": text}
    elif endpoint.startswith("bedrock."):
        body = {"message": text}
        headers["x-amzn-ErrorType"] = bedrock_exception
    elif endpoint.startswith("dashscope."):
        named = {"request_id": identity.request_id} if identity else {}
        body = {"code": error.code, "message": text, **named}
    else:
        # OpenRouter's SDK reads no error whose code is no integer.
        code = error.status if "openrouter" in user_agent else error.code
        # Cohere's, Voyage's and other SDKs that ask for paths of OpenAI's look for a text at the top.
        fields = {"message": text, "type": kind, "param": error.field, "code": code}
        body = {"error": fields, "message": text, "detail": text}
    response = web.Response(
        status=error.status, body=orjson.dumps(body), content_type="application/json", headers=headers
    )
    if isinstance(error, UpgradeNotSupported):
        response.force_close()
    return response
