from __future__ import annotations

import pytest

from gateway.wire.endpoint import endpoint_of, endpoint_of_answer


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/v1/chat/completions", "chat.completions"),
        ("/openai/v1/chat/completions", "chat.completions"),
        ("/openai/chat/completions", "chat.completions"),
        ("/azure/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21", "chat.completions"),
        ("/v1/chat/completions/", "chat.completions"),
        ("/v1/completions", "completions"),
        ("/local/v1/completions?x=/chat/completions", "completions"),
        ("/v1/responses", "responses"),
        ("/v1/responses?stream=true", "responses"),
        ("/v1/embeddings", "embeddings"),
        ("/v1/messages", "messages"),
        ("/anthropic/v1/messages", "messages"),
        ("/anthropic/v1/messages?beta=true", "messages"),
        ("/anthropic/messages", "messages"),
        ("/v1beta/models/gemini-2.5-flash:generateContent", "gemini.generate"),
        ("/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", "gemini.generate"),
        ("/v1beta/models/gemini-embedding-001:embedContent", "gemini.embed"),
        ("/v1beta/models/gemini-embedding-001:batchEmbedContents", "gemini.embed"),
        ("/v1/projects/p/locations/l/publishers/google/models/text-embedding-005:predict", "gemini.embed"),
        ("/v1beta/models/gemini-2.5-flash:countTokens", "gemini.count_tokens"),
        ("/v1beta/interactions", "gemini.interactions"),
        ("/v1beta/interactions/v1_abc", "other"),
        ("/v1beta/models/gemini-2.5-flash:batchGenerateContent", "other"),
        ("/v1beta/models/gemini-2.5-flash", "other"),
        ("/v1/projects/p/locations/l/publishers/google/models/imagen-4.0:predict", "other"),
        ("/v1/projects/p/locations/l/publishers/anthropic/models/claude-opus-4-5:rawPredict", "messages"),
        (
            "/v1/projects/p/locations/l/publishers/anthropic/models/claude-opus-4-5:streamRawPredict",
            "messages",
        ),
        ("/v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict", "other"),
        ("/v1/projects/p/locations/l/publishers/mistralai/models/codestral:rawPredict", "other"),
        ("/v1/projects/p/locations/l/endpoints/openapi/chat/completions", "chat.completions"),
        ("/ollama/api/chat", "ollama.chat"),
        ("/api/generate", "ollama.generate"),
        ("/ollama/api/embed", "ollama.embed"),
        ("/ollama/api/embeddings", "ollama.embed"),
        ("/ollama/api/tags", "other"),
        ("/openrouter/api/v1/embeddings", "embeddings"),
        ("/v1/responses/resp_1", "other"),
        ("/v1/responses/resp_1/cancel", "other"),
        ("/v1/chat/completions/chatcmpl-1", "other"),
        ("/v1/chat/completions/chatcmpl-1/messages", "other"),
        ("/v1/threads/thread_1/messages", "other"),
        ("/v1/messages/count_tokens", "other"),
        ("/v1/messages/batches", "other"),
        ("/model/amazon.nova-lite-v1%3A0/converse", "bedrock.converse"),
        ("/aws/model/amazon.nova-lite-v1:0/converse-stream", "bedrock.converse"),
        ("/aws/model/arn%3Aaws%3Abedrock%3A%3A1%3Ainference-profile%2Fx/invoke", "bedrock.invoke"),
        ("/aws/model/x/invoke-with-response-stream?y=1", "bedrock.invoke"),
        ("/aws/model/x/count-tokens", "bedrock.count_tokens"),
        ("/aws/model/x/invoke-with-bidirectional-stream", "other"),
        ("/aws/guardrail/x/version/1/apply", "other"),
        ("/aws/guardrail-checks/invoke", "other"),
        ("/aws/async-invoke", "other"),
        ("/bedrock/anthropic/v1/messages", "messages"),
        ("/bedrock/openai/v1/chat/completions", "chat.completions"),
        ("/v1/models", "other"),
        ("/v1/models?next=/v1/messages", "other"),
        ("/v1/xcompletions", "other"),
        ("/", "other"),
        ("", "other"),
        ("?", "other"),
        ("messages", "other"),
    ],
)
def test_the_last_segments_of_a_path_name_its_endpoint(path: str, endpoint: str) -> None:
    assert endpoint_of(path) == endpoint


@pytest.mark.parametrize(
    ("answer", "endpoint"),
    [
        ({"object": "chat.completion"}, "chat.completions"),
        ({"object": "text_completion"}, "completions"),
        ({"object": "response"}, "responses"),
        ({"type": "message"}, "messages"),
        ({"object": "list", "data": [{"object": "embedding"}]}, "embeddings"),
    ],
)
def test_an_answer_tells_the_kind_of_call_whatever_the_path(answer: object, endpoint: str) -> None:
    assert endpoint_of_answer(answer, "") == endpoint
    assert endpoint_of_answer(answer, "/v1/models") == endpoint


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "text",
        [],
        {},
        {"object": 5},
        {"object": "list"},
        {"object": "list", "data": [{"object": "model"}]},
        {"error": {}},
    ],
)
def test_an_answer_that_does_not_tell_leaves_it_to_the_path(answer: object) -> None:
    assert endpoint_of_answer(answer, "") == "other"
    assert endpoint_of_answer(answer, "/v1/chat/completions") == "chat.completions"
