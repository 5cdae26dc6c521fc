"""What is told of base URLs before any call is made."""

from __future__ import annotations

import pytest

from gateway.routing.providers import chat_url, find_problem

GEMINI = "https://generativelanguage.googleapis.com"
MODEL = "models/MODEL:generateContent"


@pytest.mark.parametrize(
    ("base_url", "path"),
    [
        ("https://api.openai.com/v1", "/v1/chat/completions"),
        ("https://api.openai.com/v1/", "/v1/chat/completions"),
        ("http://127.0.0.1:11434", "/v1/chat/completions"),
        ("https://api.z.ai/api/paas/v4", "/api/paas/v4/chat/completions"),
        ("https://api.anthropic.com", "/v1/messages"),
        ("https://api.anthropic.com/v1", "/v1/messages"),
        ("https://api.deepseek.com/anthropic", "/anthropic/messages"),
        (GEMINI, f"/v1beta/{MODEL}"),
        (f"{GEMINI}/v1beta/", f"/v1beta/{MODEL}"),
        (f"{GEMINI}/v1", f"/v1/{MODEL}"),
        (f"{GEMINI}/v1beta/openai", "/v1beta/openai/chat/completions"),
        ("https://api.cohere.com", "/v2/chat"),
        ("https://api.cohere.com/v1", "/v1/chat"),
        ("https://api.cohere.ai/compatibility/v1", "/compatibility/v1/chat/completions"),
        ("https://api.groq.com", "/openai/v1/chat/completions"),
        ("https://api.groq.com/openai/v1", "/openai/v1/chat/completions"),
        ("https://n.openai.azure.com", "/openai/v1/chat/completions"),
        ("https://n.openai.azure.com/openai/v1", "/openai/v1/chat/completions"),
        ("https://n.services.ai.azure.com/models", "/models/chat/completions"),
        ("https://bedrock-runtime.eu-west-1.amazonaws.com", "/model/MODEL/converse"),
        ("https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1", "/openai/v1/chat/completions"),
        ("https://dashscope.aliyuncs.com/api/v1", "/api/v1/services/aigc/text-generation/generation"),
        ("https://dashscope.aliyuncs.com/compatible-mode/v1", "/compatible-mode/v1/chat/completions"),
        ("https://api.perplexity.ai", "/chat/completions"),
        ("https://not-generativelanguage.googleapis.com.test", "/v1/chat/completions"),
    ],
)
def test_a_chat_call_is_shown_as_the_providers_sdk_would_make_it(base_url: str, path: str) -> None:
    assert chat_url(base_url) == "/".join(base_url.split("/", 3)[:3]) + path


def test_a_chat_call_is_shown_as_the_settings_make_it() -> None:
    assert chat_url("http://claude.test", auth="x-api-key") == "http://claude.test/v1/messages"
    assert chat_url("http://a.test:1/b", "keep") == "http://a.test:1/b/v1/chat/completions"
    assert chat_url("http://a.test:1", "strip") == "http://a.test:1/chat/completions"


@pytest.mark.parametrize(
    ("base_url", "right"),
    [
        ("https://api.openai.com/v1/chat/completions", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/chat/completions/", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/completions", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/responses", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/Embeddings", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/audio/transcriptions", "https://api.openai.com/v1"),
        ("https://api.anthropic.com/v1/messages", "https://api.anthropic.com/v1"),
        ("https://api.cohere.com/v2/chat", "https://api.cohere.com/v2"),
        ("http://127.0.0.1:11434/api/chat", "http://127.0.0.1:11434"),
        (f"{GEMINI}/v1beta/models/gemini-2.5-flash:generateContent", GEMINI),
        (f"{GEMINI}/v1beta/models/gemini-2.5-flash:streamGenerateContent", GEMINI),
        ("https://x-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/google/models/m:predict",
         "https://x-aiplatform.googleapis.com"),
        ("https://bedrock-runtime.x.amazonaws.com/model/a:b/converse-stream",
         "https://bedrock-runtime.x.amazonaws.com"),
        ("https://dashscope.aliyuncs.com/api/v1/services/aigc/text-generation/generation",
         "https://dashscope.aliyuncs.com/api/v1"),
    ],
)  # fmt: skip
def test_a_base_url_that_ends_in_an_endpoint_is_told_with_the_one_to_write(base_url: str, right: str) -> None:
    fault = find_problem(base_url)
    assert fault is not None
    assert "ends in an endpoint" in fault.says
    assert fault.do == f"Write {right}."
    assert find_problem(right) is None


def test_anthropics_path_at_others_needs_its_version() -> None:
    fault = find_problem("https://api.deepseek.com/anthropic")
    assert fault is not None
    assert fault.do == "Set version_path: keep."
    assert chat_url("https://api.deepseek.com/anthropic", "keep").endswith("/anthropic/v1/messages")
    assert find_problem("https://api.deepseek.com/anthropic", "keep") is None
    assert find_problem("https://api.deepseek.com/anthropic", "strip") is None


@pytest.mark.parametrize(
    "base_url",
    [
        "https://api.openai.com/v1",
        "https://api.anthropic.com",
        "https://n.services.ai.azure.com/models",
        "http://a.test/chat",
        "http://a.test/my-messages",
        "https://gateway.test/v1/account/anthropic",
        "https://messages.test",
    ],
)
def test_nothing_is_said_of_other_base_urls(base_url: str) -> None:
    assert find_problem(base_url) is None
