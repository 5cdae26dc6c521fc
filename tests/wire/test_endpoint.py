from __future__ import annotations

import pytest

from gateway.wire import endpoint_of


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
        ("/v1/responses/resp_1", "other"),
        ("/v1/responses/resp_1/cancel", "other"),
        ("/v1/chat/completions/chatcmpl-1", "other"),
        ("/v1/chat/completions/chatcmpl-1/messages", "other"),
        ("/v1/threads/thread_1/messages", "other"),
        ("/v1/messages/count_tokens", "other"),
        ("/v1/messages/batches", "other"),
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
