"""Which kind of call a path names, and which model."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote

from gateway.wire.json_fields import MAX_TEXT, objects_in

OTHER_ENDPOINT = "other"

_ENDPOINTS_BY_OBJECT = {
    "chat.completion": "chat.completions",
    "text_completion": "completions",
    "response": "responses",
    "response.compaction": "responses.compact",
    "message": "messages",
    "message_batch": "messages.batches",
    "embedding": "embeddings",
}
"""Kinds of call by what an answer calls itself, or the first of the list that it is."""

_BY_LAST_SEGMENT = {
    "responses": "responses",
    "embeddings": "embeddings",
    "multimodalembeddings": "embeddings",
    "contextualizedembeddings": "embeddings",
    "rerank": "rerank",
    "reranks": "rerank",
    "reranking": "rerank",
    "rerankers": "rerank",
    "ranking": "rerank",
    "moderations": "moderations",
    "ocr": "ocr",
}
"""Kinds of call that the last segment of a path names alone."""

_BY_PATTERN = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"/responses/compact$", "responses.compact"),
        (r"/responses/input_tokens$", "responses.count_tokens"),
        (r"/responses/[^/]+(?:/cancel)?$", "responses.retrieve"),
        (r"/chat/completions/[^/]+$", "chat.completions.retrieve"),
        (r"/messages/count_tokens$", "messages.count_tokens"),
        (r"/messages/batches/[^/]+/results$", "messages.batches.results"),
        (r"/messages/batches$", "messages.batches"),
        (r"/messages/batches/[^/]+(?:/cancel)?$", "messages.batches.retrieve"),
        (r"/images/(?:generations|edits|variations)$", "images"),
        (r"/audio/transcriptions$", "audio.transcriptions"),
        (r"/audio/translations$", "audio.translations"),
        (r"/audio/speech$", "audio.speech"),
        (r"/text/chat(?:_stream)?$", "chat.completions"),
        (r"/text/generation(?:_stream)?$", "watsonx.generation"),
        (r"/services/aigc/(?:text|multimodal)-generation/generation$", "dashscope.generation"),
        (r"/apps/[^/]+/completion$", "dashscope.generation"),
        (r"/api/v1/tasks/[^/]+$", "dashscope.tasks.retrieve"),
        (r"/embeddings/multimodal$|/services/embeddings/|/wenxinworkshop/embeddings/", "embeddings"),
        (r"/services/rerank/|/wenxinworkshop/reranker/", "rerank"),
        (r"/wenxinworkshop/(?:chat|completions)/[^/]+$", "ernie.chat"),
        (r"(?:/v[12]|^/[^/]+)/chat$", "cohere.chat"),
        (r"(?:/v[12]|^/[^/]+)/embed$", "cohere.embed"),
        (r"/v1/(?:generate|summarize)$", "cohere.generate"),
        (r"/v1/classify$", "cohere.classify"),
        (r"/embed(?:_all|_sparse)$", "embeddings"),
        (r"(?<!/api)/generate(?:_stream)?$", "tgi.generate"),
        (r"/predictions$", "predictions"),
        (r"/predictions/[^/]+$", "predictions.retrieve"),
        (r"^(?:/[^/]+)?/models$|/v[0-9][^/]*/models(?:/.+)?$|/foundation_model_specs$", "models"),
        (r"/wenxinworkshop/service/list$|/api/show$", "models.show"),
        (r"/api/(?:tags|ps)$", "models"),
        (
            r"/api/version$|/wml_services/v[0-9]+/version$|/tcp_warming$|/v2/(?:projects|spaces)(?:/[^/]+)?$",
            "service",
        ),
    )
)
"""Kinds of call by a path's last segments, the first that matches. Those that end in `.retrieve` or `.results` show
again what another call began. What is cancelled is shown as it then stands, as by a retrieval. The last ones are
calls to no model: which models there are, and what clients ask before their first call (Ollama's version, watsonx'
version, projects and spaces, Cerebras' opening of a connection)."""

_OLLAMA_CALLS = {
    "chat": "ollama.chat",
    "generate": "ollama.generate",
    "embed": "ollama.embed",
    "embeddings": "ollama.embed",
}
"""Kinds of call by what stands after `/api/` alone."""

_BY_VERB = {
    "generateContent": "gemini.generate",
    "streamGenerateContent": "gemini.generate",
    "embedContent": "gemini.embed",
    "batchEmbedContents": "gemini.embed",
    "countTokens": "gemini.count_tokens",
}
"""Kinds of call by what Google's paths have after a model's name and a colon."""

_RAW_VERBS = frozenset({"rawPredict", "streamRawPredict"})
_VERB = re.compile(r"(?::|%3[Aa])([A-Za-z]+)$")
_CLAUDE_AT_VERTEX = re.compile(r"/publishers/anthropic/models/(?!count-tokens\b)[^/]+$")

_BEDROCK_CALLS = {
    "converse": "bedrock.converse",
    "converse-stream": "bedrock.converse",
    "invoke": "bedrock.invoke",
    "invoke-with-response-stream": "bedrock.invoke",
    "count-tokens": "bedrock.count_tokens",
}
"""Kinds of call by what stands after `/model/NAME/` at Bedrock."""

_MODEL_IN_PATH = re.compile(
    r"/(?:publishers/[^/]+/models|models|tunedModels|endpoints|model|deployments)/([^/?]+?)"
    r"(?:(?::|%3[Aa])[A-Za-z]+)?(?=[/?]|$)"
)
"""Gemini's and Vertex's `models/NAME:verb`, Bedrock's `model/NAME/verb`, Azure's `deployments/NAME/…`."""


_PATH_PARAMETERS = re.compile(r";[^/#]*|#.*", re.DOTALL)
"""What many servers leave out of a path before they choose what answers: parameters of segments, and a fragment."""


def endpoint_of(path: str) -> str:
    """Return the kind of call that `path` names, judged by its last segments; `other` if it is none of ours.

    Args:
        path: as the caller sent it, with or without a query, below any provider's name or base path.
    """
    return _endpoint_of(path.partition("?")[0])


# Callers ask for the same few paths again and again; the bound keeps those with ids from filling the memory.
@lru_cache(maxsize=512)
def _endpoint_of(path: str) -> str:
    path = _PATH_PARAMETERS.sub("", path).rstrip("/")
    parent, _, name = path.rpartition("/")
    if name == "completions":
        if parent.endswith("/wenxinworkshop/chat"):
            return "ernie.chat"
        return "chat.completions" if parent.endswith("/chat") else "completions"
    if name in _OLLAMA_CALLS and parent.endswith("/api"):
        return _OLLAMA_CALLS[name]
    if verb := _VERB.search(name):
        return _endpoint_of_verb(verb[1], path)
    if name == "interactions" and "/v1" in parent:
        return "gemini.interactions"
    if name in _BY_LAST_SEGMENT:
        return _BY_LAST_SEGMENT[name]
    # Threads and stored completions have lists of messages too; those are a level deeper.
    if name == "messages" and (parent.endswith(("/v1", "/v1beta")) or parent.rfind("/") == 0):
        return name
    if name in _BEDROCK_CALLS and "/model/" in parent:
        return _BEDROCK_CALLS[name]
    return next((kind for pattern, kind in _BY_PATTERN if pattern.search(path)), OTHER_ENDPOINT)


def _endpoint_of_verb(verb: str, path: str) -> str:
    if verb in _RAW_VERBS and _CLAUDE_AT_VERTEX.search(path):
        return "messages"
    if verb == "predict" and "embedding" in path.rpartition("/")[2]:
        return "gemini.embed"
    return _BY_VERB.get(verb, OTHER_ENDPOINT)


def endpoint_of_logged_answer(answer: object, path: str) -> str:
    """Return the kind of call that a JSON answer was given to, judged by what it calls itself, or by `path`
    where it does not say."""
    if not isinstance(answer, dict):
        return endpoint_of(path)
    name = answer.get("object", answer.get("type"))
    if name == "list":
        return endpoint_of_logged_answer(next(iter(objects_in(answer, "data")), None), path)
    return _ENDPOINTS_BY_OBJECT.get(str(name)) or endpoint_of(path)


def model_in_path(path: str) -> str | None:
    """Return the model that a path names, as Google's, Amazon's and Azure's do."""
    asked = path.partition("?")[0].rstrip("/")
    parent, _, call = asked.rpartition("/")
    if call in _BEDROCK_CALLS:
        # May be an ARN, whose slashes not everybody encodes.
        name = unquote(parent.partition("/model/")[2])
    else:
        found = _MODEL_IN_PATH.search(asked)
        name = unquote(found[1]) if found else ""
    return name if 0 < len(name) <= MAX_TEXT else None
