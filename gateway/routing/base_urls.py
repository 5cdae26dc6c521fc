"""Base URLs as people write them: where a chat call would go, and what is wrong with one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.domain.credentials import Auth, key_header
from gateway.routing.targets import VERSION, BasePath, VersionPath

_OPENAI_CHAT = "/v1/chat/completions"
_ANTHROPIC_CHAT = "/v1/messages"

_CHATS = tuple(
    (re.compile(place), version, asked)
    for place, version, asked in (
        (r"generativelanguage\.googleapis\.com", "v1beta", "/models/MODEL:generateContent"),
        (
            r"([^/]+-)?aiplatform\.googleapis\.com",
            "v1",
            "/projects/PROJECT/locations/REGION/publishers/google/models/MODEL:generateContent",
        ),
        (r"bedrock-runtime[^/]*\.amazonaws\.com", "", "/model/MODEL/converse"),
        (r"[^/]+\.(openai|cognitiveservices)\.azure\.com", "", "/openai/v1/chat/completions"),
        (r"[^/]+\.azure\.com/models", "", "/chat/completions"),
        (r"[^/]+\.ml\.cloud\.ibm\.com", "", "/ml/v1/text/chat"),
        (r"api\.cohere\.(com|ai)", "v2", "/chat"),
        (r"api\.groq\.com", "", "/openai/v1/chat/completions"),
        (r"api\.perplexity\.ai", "", "/chat/completions"),
        (r"api\.writer\.com", "v1", "/chat"),
        (r"qianfan\.baidubce\.com", "v2", "/chat/completions"),
        (r"dashscope[^/]*\.aliyuncs\.com/api", "v1", "/services/aigc/text-generation/generation"),
    )
)
"""Base URL without scheme and version, the version that its SDK asks for where the base URL names none, and the
path of a chat call below that. Any other is asked as OpenAI's or Anthropic's SDK asks."""

_ENDPOINT = re.compile(
    r"(/(chat/)?completions|/messages(/count_tokens)?|/responses|/embeddings|/moderations|/rerank"
    r"|/audio/(speech|transcriptions|translations)|/images/(generations|edits)|/generate(_stream)?"
    r"|/api/(chat|generate|embed|embeddings)|(?<=/v[12])/chat|/services/aigc/.+"
    r"|/model/[^/]+/(converse|invoke)[^/]*"
    rf"|(/{VERSION}(/.+)?)?/models/[^/]+:[A-Za-z]+)$",
    re.IGNORECASE,
)
"""The end of a URL that is an endpoint's and not a base URL."""

_NAMES_VERSION = re.compile(rf"/{VERSION}(?=/|$)")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a setting, said after its name, and what to do about it, as a sentence."""

    says: str
    do: str


def chat_url(base_url: str, version_path: VersionPath | None = None, auth: Auth = "bearer") -> str:
    """Return the URL that a chat call would go to, from the SDK that such a base URL is likely meant for.

    Args:
        auth: how a provider's key is sent; `x-api-key` speaks for Anthropic's SDK.
    """
    url = urlsplit(base_url)
    joined = BasePath.of(url.path, version_path).join(_chat_of(url.netloc + url.path.rstrip("/"), auth))
    return f"{url.scheme}://{url.netloc}{joined}"


def fault_of(base_url: str, version_path: VersionPath | None = None) -> Fault | None:
    """Return what will keep calls from reaching a provider; None where nothing is seen in its base URL."""
    base_url = base_url.rstrip("/")
    path = urlsplit(base_url).path
    if found := _ENDPOINT.search(path):
        right = base_url[: len(base_url) - len(found[0])]
        return Fault(
            f"ends in an endpoint, {found[0]}; other paths would be appended to it.", f"Write {right}."
        )
    if version_path is None and path.endswith("/anthropic") and not _NAMES_VERSION.search(path):
        return Fault(
            f"has a path, behind which v1 is left out, but Anthropic's SDKs ask for {_ANTHROPIC_CHAT}.",
            "Set version_path: keep.",
        )
    return None


def _chat_of(place: str, auth: Auth) -> str:
    rest, _, last = place.rpartition("/")
    is_versioned = re.fullmatch(VERSION, last) is not None
    for pattern, version, asked in _CHATS:
        if pattern.fullmatch(rest if is_versioned and version else place):
            named = last if is_versioned else version
            return f"/{named}{asked}" if version else asked
    is_anthropic = key_header(auth)[0] == "x-api-key" or "anthropic" in place
    return _ANTHROPIC_CHAT if is_anthropic else _OPENAI_CHAT
