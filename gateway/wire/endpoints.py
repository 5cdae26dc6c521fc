"""Which kind of call a path names, and the wire format of each; a new format is registered here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import orjson

from gateway.models.conversation import Conversation
from gateway.wire import (
    anthropic,
    bedrock,
    cohere,
    dashscope,
    embeddings,
    ernie,
    gemini,
    gemini_interactions,
    ollama,
    openai_chat,
    openai_media,
    openai_realtime,
    openai_responses,
    replicate,
    text_generation,
)
from gateway.wire.event_streams import read_events
from gateway.wire.formats import OPAQUE, WireFormat, WireMessage
from gateway.wire.json_fields import JsonObject, has_too_many_values, objects_in, parse_object

OTHER_ENDPOINT = "other"

# Endpoints whose answers were given, or begun, by another request before end so.
RETRIEVAL_SUFFIXES = (".retrieve", ".results")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A kind of call.

    Args:
        paths: patterns of its paths, without query and trailing slashes.
        wire_format: None where the answer decides, and for calls to no model.
        operation: what OpenTelemetry's semantic conventions call it.
    """

    name: str
    paths: tuple[str, ...]
    wire_format: WireFormat | None = None
    operation: str | None = None


# The first pattern that matches a path decides.
ENDPOINTS = (
    Endpoint(
        "chat.completions",
        (r"(?<!/wenxinworkshop)/chat/completions$", r"/text/chat(?:_stream)?$"),
        openai_chat.FORMAT,
        "chat",
    ),
    Endpoint("ernie.chat", (r"/wenxinworkshop/(?:chat|completions)/[^/]+$",), ernie.FORMAT, "chat"),
    Endpoint("completions", (r"/completions$",), openai_chat.FORMAT, "text_completion"),
    Endpoint("ollama.chat", (r"/api/chat$",), ollama.FORMAT, "chat"),
    Endpoint("ollama.generate", (r"/api/generate$",), ollama.FORMAT, "text_completion"),
    Endpoint("ollama.embed", (r"/api/embed(?:dings)?$",), ollama.EMBEDDINGS, "embeddings"),
    Endpoint(
        "gemini.generate",
        (r"(?::|%3[Aa])(?:generateContent|streamGenerateContent)$",),
        gemini.FORMAT,
        "generate_content",
    ),
    Endpoint(
        "gemini.embed",
        (r"(?::|%3[Aa])(?:embedContent|batchEmbedContents)$", r"embedding[^/]*(?::|%3[Aa])predict$"),
        gemini.FORMAT,
        "embeddings",
    ),
    Endpoint("gemini.count_tokens", (r"(?::|%3[Aa])countTokens$",), gemini.FORMAT),
    Endpoint("gemini.interactions", (r"/v1.*/interactions$",), gemini_interactions.FORMAT, "chat"),
    Endpoint(
        "messages",
        (
            # Threads and stored completions have lists of messages too; those are a level deeper.
            r"(?:/v1|/v1beta|^/[^/]*)/messages$",
            r"/publishers/anthropic/models/(?!count-tokens\b)[^/]+(?::|%3[Aa])(?:rawPredict|streamRawPredict)$",
        ),
        anthropic.MESSAGES,
        "chat",
    ),
    Endpoint(OTHER_ENDPOINT, (r"(?::|%3[Aa])[A-Za-z]+$",)),
    Endpoint("responses", (r"/responses$",), openai_responses.FORMAT, "chat"),
    Endpoint("realtime", (r"/realtime$",), openai_realtime.FORMAT, "chat"),
    # Rows of connections; what is asked and answered on one has rows of its own.
    Endpoint(openai_realtime.CONNECTION_ENDPOINT, (), openai_realtime.CONNECTION),
    Endpoint("responses.compact", (r"/responses/compact$",), openai_responses.FORMAT),
    Endpoint("responses.count_tokens", (r"/responses/input_tokens$",), OPAQUE),
    Endpoint(
        "embeddings",
        (
            r"/(?:embeddings|multimodalembeddings|contextualizedembeddings)$",
            r"/embeddings/multimodal$|/services/embeddings/|/wenxinworkshop/embeddings/|/embed(?:_all|_sparse)$",
        ),
        embeddings.FORMAT,
        "embeddings",
    ),
    Endpoint(
        "rerank",
        (r"/(?:rerank|reranks|reranking|rerankers|ranking)$", r"/services/rerank/|/wenxinworkshop/reranker/"),
        embeddings.FORMAT,
    ),
    Endpoint("moderations", (r"/moderations$",), openai_media.FORMAT),
    Endpoint("ocr", (r"/ocr$",), openai_media.FORMAT),
    Endpoint("bedrock.converse", (r"/model/.*/converse(?:-stream)?$",), bedrock.CONVERSE),
    Endpoint("bedrock.invoke", (r"/model/.*/invoke(?:-with-response-stream)?$",), bedrock.INVOKE),
    Endpoint("bedrock.count_tokens", (r"/model/.*/count-tokens$",), OPAQUE),
    Endpoint("responses.retrieve", (r"/responses/[^/]+(?:/cancel)?$",), openai_responses.FORMAT),
    Endpoint("chat.completions.retrieve", (r"/chat/completions/[^/]+$",), openai_chat.FORMAT),
    Endpoint("messages.count_tokens", (r"/messages/count_tokens$",), OPAQUE),
    Endpoint("messages.batches.results", (r"/messages/batches/[^/]+/results$",), anthropic.BATCH_RESULTS),
    Endpoint("messages.batches", (r"/messages/batches$",), anthropic.BATCHES),
    Endpoint("messages.batches.retrieve", (r"/messages/batches/[^/]+(?:/cancel)?$",), anthropic.BATCHES),
    Endpoint("images", (r"/images/(?:generations|edits|variations)$",), openai_media.FORMAT),
    Endpoint("audio.transcriptions", (r"/audio/transcriptions$",), openai_media.FORMAT),
    Endpoint("audio.translations", (r"/audio/translations$",), openai_media.FORMAT),
    Endpoint("audio.speech", (r"/audio/speech$",), openai_media.FORMAT),
    Endpoint(
        "watsonx.generation", (r"/text/generation(?:_stream)?$",), text_generation.WATSONX, "text_completion"
    ),
    Endpoint(
        "dashscope.generation",
        (r"/services/aigc/(?:text|multimodal)-generation/generation$", r"/apps/[^/]+/completion$"),
        dashscope.FORMAT,
        "chat",
    ),
    Endpoint("dashscope.tasks.retrieve", (r"/api/v1/tasks/[^/]+$",), dashscope.FORMAT),
    Endpoint("cohere.chat", (r"(?:/v[12]|^/[^/]+)/chat$",), cohere.FORMAT, "chat"),
    Endpoint("cohere.embed", (r"(?:/v[12]|^/[^/]+)/embed$",), embeddings.FORMAT, "embeddings"),
    Endpoint("cohere.generate", (r"/v1/(?:generate|summarize)$",), cohere.FORMAT, "text_completion"),
    Endpoint("cohere.classify", (r"/v1/classify$",), cohere.FORMAT),
    Endpoint("tgi.generate", (r"(?<!/api)/generate(?:_stream)?$",), text_generation.TGI, "text_completion"),
    Endpoint("predictions", (r"/predictions$",), replicate.FORMAT),
    Endpoint("predictions.retrieve", (r"/predictions/[^/]+$",), replicate.FORMAT),
    # What clients ask before their first call, and which models there are.
    Endpoint(
        "models",
        (r"^(?:/[^/]+)?/models$|/v[0-9][^/]*/models(?:/.+)?$|/foundation_model_specs$|/api/(?:tags|ps)$",),
    ),
    Endpoint("models.show", (r"/wenxinworkshop/service/list$|/api/show$",)),
    Endpoint(
        "service",
        (
            r"/api/version$|/wml_services/v[0-9]+/version$|/tcp_warming$",
            r"/v2/(?:projects|spaces)(?:/[^/]+)?$",
        ),
    ),
)

FORMATS: Mapping[str, WireFormat] = {each.name: each.wire_format for each in ENDPOINTS if each.wire_format}
OPERATIONS: Mapping[str, str] = {each.name: each.operation for each in ENDPOINTS if each.operation}

# Formats that an answer at any other path may call itself; the first that recognises it is taken. Polls of
# interactions and predictions look like the calls that began them, and would count twice.
_RECOGNISED_FORMATS: tuple[WireFormat, ...] = (
    anthropic.MESSAGES,
    anthropic.BATCHES,
    anthropic.BATCH_RESULTS,
    openai_responses.FORMAT,
    openai_chat.FORMAT,
    embeddings.FORMAT,
    openai_media.FORMAT,
    cohere.FORMAT,
    dashscope.FORMAT,
    ernie.FORMAT,
    text_generation.WATSONX,
    text_generation.TGI,
    gemini.FORMAT,
    ollama.FORMAT,
    bedrock.CONVERSE,
)

# Others have formats of their own at the same paths, such as Writer's `/v1/chat`.
_SHARED_ENDPOINTS = frozenset({"cohere.chat", "cohere.generate", "tgi.generate"})

_ENDPOINTS_BY_OBJECT = {
    "chat.completion": "chat.completions",
    "text_completion": "completions",
    "response": "responses",
    "response.compaction": "responses.compact",
    "message": "messages",
    "message_batch": "messages.batches",
    "embedding": "embeddings",
}

_PATTERNS = tuple((re.compile(path), endpoint.name) for endpoint in ENDPOINTS for path in endpoint.paths)

# Many servers leave out parameters of segments, and a fragment, before they choose what answers.
_PATH_PARAMETERS = re.compile(r";[^/#]*|#.*", re.DOTALL)


def endpoint_of(path: str) -> str:
    """Return the kind of call that `path` names, by its last segments.

    Args:
        path: as the caller sent it, with or without a query, below any provider's name or base path.
    """
    return _endpoint_of(path.partition("?")[0])


# Callers ask for the same few paths again and again; the bound keeps those with ids from filling the memory.
@lru_cache(maxsize=512)
def _endpoint_of(path: str) -> str:
    path = _PATH_PARAMETERS.sub("", path).rstrip("/")
    return next((name for pattern, name in _PATTERNS if pattern.search(path)), OTHER_ENDPOINT)


def endpoint_of_logged_answer(answer: object, path: str) -> str:
    """Return the kind of call that a JSON answer was given to, by what it calls itself, else by `path`."""
    if not isinstance(answer, dict):
        return endpoint_of(path)
    name = answer.get("object", answer.get("type"))
    if name == "list":
        return endpoint_of_logged_answer(next(iter(objects_in(answer, "data")), None), path)
    return _ENDPOINTS_BY_OBJECT.get(str(name)) or endpoint_of(path)


def format_of(endpoint: str, content_type: str, body: bytes) -> WireFormat:
    """Return the format of an answer: its endpoint's, or else the one that it calls itself."""
    return _format_at(endpoint, body) or _recognised(content_type, body) or FORMATS.get(endpoint) or OPAQUE


def read_conversation(endpoint: str, request: WireMessage, response: WireMessage) -> Conversation:
    """Return what the decoded bodies of an exchange say. Never raises."""
    return format_of(endpoint, response.content_type, response.body).conversation(request, response)


def reassemble(endpoint: str, content_type: str, body: bytes) -> object | None:
    """Return a stream, whole or cut, as the one object that the provider would have sent unstreamed.

    None for what is no stream of a known format, or holds too much. Never raises.

    Args:
        body: of the response, its content-encoding undone.
    """
    if has_too_many_values(body):
        return None
    whole = format_of(endpoint, content_type, body).reassemble(content_type, body)
    try:
        orjson.dumps(whole)
    except orjson.JSONEncodeError:
        # orjson reads deeper than it writes, and callers write what they get.
        return None
    return whole


def _format_at(endpoint: str, body: bytes) -> WireFormat | None:
    """Return the format of an endpoint; None where providers have several at its path."""
    is_shared = endpoint in _SHARED_ENDPOINTS or (endpoint == "chat.completions" and b'"choices"' not in body)
    return None if is_shared else FORMATS.get(endpoint)


def _recognised(content_type: str, body: bytes) -> WireFormat | None:
    opening = _first_object(content_type, body)
    if opening is None:
        return None
    return next((known for known in _RECOGNISED_FORMATS if known.recognises(opening)), None)


def _first_object(content_type: str, body: bytes) -> JsonObject | None:
    """The answer, or the first object of a stream."""
    if not body:
        return None
    stream = read_events(content_type, body)
    if stream is None:
        return parse_object(body) if body.lstrip()[:1] == b"{" else None
    return next(stream.objects(), None)
