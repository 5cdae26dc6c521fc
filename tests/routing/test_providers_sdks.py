"""The base URLs of many providers' SDKs: each reaches what it would reach without a gateway."""

from __future__ import annotations

import ssl

import pytest

from gateway.routing.plan import Router
from gateway.routing.providers import build_provider

TLS = ssl.create_default_context()

GEMINI = "https://generativelanguage.googleapis.com"
VERTEX = "https://europe-west1-aiplatform.googleapis.com"
PROJECT = "projects/p/locations/l/publishers/google/models/m:generateContent"

SDKS = [
    # The base URL that the SDK itself has, below which it asks for the whole path.
    ("https://api.anthropic.com", "", "/v1/messages?beta=true", "/v1/messages?beta=true"),
    ("https://api.anthropic.com", "/v1", "/v1/messages", "/v1/messages"),
    ("https://api.anthropic.com/v1", "", "/v1/messages", "/v1/messages"),
    ("https://api.anthropic.com/v1", "/v1", "/v1/messages", "/v1/messages"),
    ("https://api.anthropic.com/v1", "/v1", "/messages", "/v1/messages"),
    (GEMINI, "", "/v1beta/models/m:generateContent", "/v1beta/models/m:generateContent"),
    (GEMINI, "", "/v1/models/m:streamGenerateContent?alt=sse", "/v1/models/m:streamGenerateContent?alt=sse"),
    (GEMINI, "", "/v1alpha/files", "/v1alpha/files"),
    (GEMINI, "", "/upload/v1beta/files", "/upload/v1beta/files"),
    (GEMINI, "/v1beta/openai", "/chat/completions", "/v1beta/openai/chat/completions"),
    (f"{GEMINI}/v1beta", "", "/v1beta/models/m:generateContent", "/v1beta/models/m:generateContent"),
    (f"{GEMINI}/v1beta", "", "/v1/models/m:generateContent", "/v1beta/models/m:generateContent"),
    (f"{GEMINI}/v1beta", "/v1beta", "/models/m:generateContent", "/v1beta/models/m:generateContent"),
    (f"{GEMINI}/v1beta/openai", "", "/chat/completions", "/v1beta/openai/chat/completions"),
    (f"{GEMINI}/v1beta/openai", "/v1", "/chat/completions", "/v1beta/openai/chat/completions"),
    (f"{GEMINI}/v1beta/openai", "/v1beta/openai", "/chat/completions", "/v1beta/openai/chat/completions"),
    (VERTEX, "", f"/v1/{PROJECT}", f"/v1/{PROJECT}"),
    (VERTEX, "", f"/v1beta1/{PROJECT}", f"/v1beta1/{PROJECT}"),
    (f"{VERTEX}/v1", "", f"/v1/{PROJECT}", f"/v1/{PROJECT}"),
    ("https://api.cohere.com", "", "/v2/chat", "/v2/chat"),
    ("https://api.cohere.com", "", "/v1/models", "/v1/models"),
    ("https://api.cohere.com/v2", "/v2", "/chat", "/v2/chat"),
    ("https://api.cohere.com/compatibility/v1", "/v1", "/chat/completions", "/compatibility/v1/chat/completions"),
    ("http://127.0.0.1:11434", "/v1", "/chat/completions", "/v1/chat/completions"),
    ("http://127.0.0.1:11434", "", "/api/chat", "/api/chat"),
    ("http://127.0.0.1:11434/v1", "/v1", "/chat/completions", "/v1/chat/completions"),
    ("http://127.0.0.1:8080", "", "/v1/chat/completions", "/v1/chat/completions"),
    ("http://127.0.0.1:8080", "", "/generate", "/generate"),
    ("https://router.huggingface.co/v1", "", "/chat/completions", "/v1/chat/completions"),
    ("https://router.huggingface.co/v1", "/v1", "/chat/completions", "/v1/chat/completions"),
    ("https://dashscope.aliyuncs.com/api/v1", "", "/services/aigc/x", "/api/v1/services/aigc/x"),
    ("https://dashscope.aliyuncs.com/api/v1", "/v1", "/services/aigc/x", "/api/v1/services/aigc/x"),
    ("https://dashscope.aliyuncs.com/api/v1", "/api/v1", "/services/aigc/x", "/api/v1/services/aigc/x"),
    ("https://dashscope.aliyuncs.com/compatible-mode/v1", "/v1", "/models", "/compatible-mode/v1/models"),
    ("https://api.z.ai/api/paas/v4", "", "/chat/completions", "/api/paas/v4/chat/completions"),
    ("https://api.z.ai/api/paas/v4", "/v1", "/chat/completions", "/api/paas/v4/chat/completions"),
    ("https://api.z.ai/api/paas/v4", "/v4", "/chat/completions", "/api/paas/v4/chat/completions"),
    ("https://api.z.ai/api/paas/v4", "/api/paas/v4", "/chat/completions", "/api/paas/v4/chat/completions"),
    ("https://ark.cn-beijing.volces.com/api/v3", "", "/chat/completions", "/api/v3/chat/completions"),
    ("https://ark.cn-beijing.volces.com/api/v3", "/api/v3", "/chat/completions", "/api/v3/chat/completions"),
    ("https://qianfan.baidubce.com", "", "/v2/chat/completions", "/v2/chat/completions"),
    ("https://api.fireworks.ai/inference/v1", "", "/v1/chat/completions", "/inference/v1/chat/completions"),
    ("https://api.fireworks.ai/inference/v1", "/v1", "/chat/completions", "/inference/v1/chat/completions"),
    ("https://api.groq.com", "", "/openai/v1/chat/completions", "/openai/v1/chat/completions"),
    ("https://api.groq.com/openai/v1", "", "/openai/v1/chat/completions", "/openai/v1/chat/completions"),
    ("https://api.groq.com/openai/v1", "/v1", "/chat/completions", "/openai/v1/chat/completions"),
    ("https://openrouter.ai/api/v1", "", "/chat/completions", "/api/v1/chat/completions"),
    ("https://openrouter.ai/api/v1", "/v1", "/chat/completions", "/api/v1/chat/completions"),
    ("https://openrouter.ai/api/v1", "/api/v1", "/chat/completions", "/api/v1/chat/completions"),
    ("https://api.together.ai", "", "/v1/chat/completions", "/v1/chat/completions"),
    ("https://api.together.ai/v1", "", "/v1/chat/completions", "/v1/chat/completions"),
    ("https://api.mistral.ai", "", "/v1/chat/completions", "/v1/chat/completions"),
    ("https://api.cerebras.ai", "", "/v1/chat/completions", "/v1/chat/completions"),
    ("https://api.cerebras.ai/v1", "", "/v1/tcp_warming", "/v1/tcp_warming"),
    ("https://api.writer.com", "", "/v1/chat", "/v1/chat"),
    ("https://api.writer.com/v1", "", "/v1/chat", "/v1/chat"),
    ("https://api.replicate.com", "", "/v1/models/a/b/predictions", "/v1/models/a/b/predictions"),
    ("https://api.replicate.com/v1", "", "/v1/predictions", "/v1/predictions"),
    ("https://api.mixedbread.com", "", "/v1/embeddings", "/v1/embeddings"),
    ("https://api.elevenlabs.io", "", "/v1/text-to-speech/x?a=b", "/v1/text-to-speech/x?a=b"),
    ("https://api.elevenlabs.io", "", "/v2/voices", "/v2/voices"),
    ("https://api.elevenlabs.io/v1", "", "/v1/models", "/v1/models"),
    ("https://api.deepgram.com", "", "/v1/listen?model=m", "/v1/listen?model=m"),
    ("https://api.deepgram.com", "", "/v2/listen", "/v2/listen"),
    ("https://api.deepgram.com/v1", "", "/v1/listen", "/v1/listen"),
    ("https://api.assemblyai.com", "", "/v2/transcript", "/v2/transcript"),
    ("https://api.assemblyai.com/v1", "", "/v1/chat/completions", "/v1/chat/completions"),
    ("https://api.perplexity.ai", "", "/chat/completions", "/chat/completions"),
    ("https://api.perplexity.ai", "", "/v1/responses", "/v1/responses"),
    ("https://api.sambanova.ai/v1", "", "/chat/completions", "/v1/chat/completions"),
    ("https://api.voyageai.com/v1", "/v1", "/embeddings", "/v1/embeddings"),
    ("https://api.ai21.com/studio/v1", "", "/chat/completions", "/studio/v1/chat/completions"),
    ("https://n.services.ai.azure.com/models", "", "/info?api-version=x", "/models/info?api-version=x"),
    ("https://n.openai.azure.com", "", "/openai/deployments/d/embeddings", "/openai/deployments/d/embeddings"),
    ("https://n.openai.azure.com/openai/v1", "/openai/v1", "/responses", "/openai/v1/responses"),
    ("https://eu-de.ml.cloud.ibm.com", "", "/ml/v1/text/chat?version=x", "/ml/v1/text/chat?version=x"),
    ("https://bedrock-runtime.eu-west-1.amazonaws.com", "", "/model/a%3Ab/converse", "/model/a%3Ab/converse"),
    ("https://api.deepinfra.com/v1/openai", "/v1/openai", "/chat/completions", "/v1/openai/chat/completions"),
    ("https://api.deepinfra.com/v1/openai", "/v1", "/chat/completions", "/v1/openai/chat/completions"),
]  # fmt: skip
"""The provider's base URL, what the SDK is given below the provider's name, the path that it asks for below that,
and the path that the provider serves."""


def router(base_url: str) -> Router:
    provider = build_provider("up", base_url, tls=TLS)
    return Router(
        {"up": provider}, "up", ["https://x.test"], lambda url: build_provider("custom", url, tls=TLS)
    )


@pytest.mark.parametrize(("base_url", "given", "asked", "served"), SDKS)
def test_an_sdk_reaches_what_it_would_reach_by_itself(
    base_url: str, given: str, asked: str, served: str
) -> None:
    assert router(base_url).plan(f"/up{given}{asked}", None, None).target.request_target == served


BY_DEFAULT = [
    (base_url, given + asked, served)
    for base_url, given, asked, served in SDKS
    if (given + asked).startswith("/v1/")
]
WITH_V1_GIVEN = [
    (base_url, f"/v1{asked}", served)
    for base_url, given, asked, served in SDKS
    if not given and asked.startswith("/v")
]


@pytest.mark.parametrize(("base_url", "path", "served"), BY_DEFAULT + WITH_V1_GIVEN)
def test_it_does_so_by_the_default_provider_too_whichever_version_it_asks_for(
    base_url: str, path: str, served: str
) -> None:
    assert router(base_url).plan(path, None, None).target.request_target == served


@pytest.mark.parametrize(("base_url", "given", "asked", "served"), SDKS)
def test_the_url_that_is_told_afterwards_is_the_one_that_was_asked(
    base_url: str, given: str, asked: str, served: str
) -> None:
    host = "/".join(base_url.split("/", 3)[:3])
    assert router(base_url).url_of("up", f"/up{given}{asked}") == host + served


@pytest.mark.parametrize(
    ("host", "served"),
    [
        ("https://x.test", "/v1/chat/completions"),
        ("https://x.test/", "/v1/chat/completions"),
        ("https://x.test/v1/", "/v1/chat/completions"),
        ("https://x.test/api/paas/v4", "/api/paas/v4/chat/completions"),
    ],
)
def test_a_base_url_of_the_callers_own_follows_the_same_rule(host: str, served: str) -> None:
    [target] = router("https://up.test").plan("/v1/chat/completions", None, host).targets
    assert (target.provider.name, target.request_target) == ("custom", served)
