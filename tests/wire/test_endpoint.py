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
        ("/anthropic/v1beta/messages", "messages"),
        ("/v1/responses/compact", "responses.compact"),
        ("/v1/responses/resp_1", "responses.retrieve"),
        ("/v1/responses/resp_1?stream=true&starting_after=3", "responses.retrieve"),
        ("/v1/responses/resp_1/cancel", "responses.retrieve"),
        ("/v1/responses/resp_1/input_items", "other"),
        ("/v1/responses/input_tokens", "other"),
        ("/v1/chat/completions/chatcmpl-1", "chat.completions.retrieve"),
        ("/v1/chat/completions/chatcmpl-1/messages", "other"),
        ("/v1/threads/thread_1/messages", "other"),
        ("/v1/messages/count_tokens", "messages.count_tokens"),
        ("/v1/messages/count_tokens?beta=true", "messages.count_tokens"),
        ("/v1/messages/batches", "messages.batches"),
        ("/anthropic/v1/messages/batches?beta=true", "messages.batches"),
        ("/v1/messages/batches/msgbatch_1", "messages.batches.retrieve"),
        ("/v1/messages/batches/msgbatch_1/cancel", "messages.batches.retrieve"),
        ("/v1/messages/batches/msgbatch_1/results", "messages.batches.results"),
        ("/v1/images/generations", "images"),
        ("/azure/openai/deployments/dall-e-3/images/edits?api-version=1", "images"),
        ("/v1/audio/transcriptions", "audio.transcriptions"),
        ("/ml/v1/audio/transcriptions", "audio.transcriptions"),
        ("/v1/audio/translations", "audio.translations"),
        ("/v1/audio/speech", "audio.speech"),
        ("/v1/moderations", "moderations"),
        ("/mistral/v1/chat/moderations", "moderations"),
        ("/v1/ocr", "ocr"),
        ("/cohere/v2/chat", "cohere.chat"),
        ("/cohere/v1/chat", "cohere.chat"),
        ("/cohere/chat", "cohere.chat"),
        ("/cohere/v2/embed", "cohere.embed"),
        ("/cohere/v1/generate", "cohere.generate"),
        ("/cohere/v1/classify", "cohere.classify"),
        ("/cohere/v1/tokenize", "other"),
        ("/cohere/v2/rerank", "rerank"),
        ("/voyageai/rerank", "rerank"),
        ("/mixedbread/v1/reranking", "rerank"),
        ("/root/ml/v1/text/rerank?version=2026-10-14", "rerank"),
        ("/root/api/v1/services/rerank/text-rerank/text-rerank", "rerank"),
        ("/root/api/v1/services/embeddings/text-embedding/text-embedding", "embeddings"),
        ("/root/api/v3/embeddings/multimodal", "embeddings"),
        ("/voyageai/v1/multimodalembeddings", "embeddings"),
        ("/root/ml/v1/text/embeddings?version=2026-10-14", "embeddings"),
        ("/root/api/v1/services/aigc/text-generation/generation", "dashscope.generation"),
        ("/root/api/v1/services/aigc/multimodal-generation/generation", "dashscope.generation"),
        ("/root/api/v1/apps/a1/completion", "dashscope.generation"),
        ("/root/api/v1/tasks/t1", "dashscope.tasks.retrieve"),
        ("/root/ml/v1/text/chat?version=2026-10-14", "chat.completions"),
        ("/root/ml/v1/deployments/d1/text/chat_stream?version=2026-10-14", "chat.completions"),
        ("/root/ml/v1/text/generation?version=2026-10-14", "watsonx.generation"),
        ("/root/ml/v1/deployments/d1/text/generation_stream", "watsonx.generation"),
        ("/root/ml/v1/text/tokenization", "other"),
        ("/root/rpc/2.0/ai_custom/v1/wenxinworkshop/chat/completions_pro?access_token=x", "ernie.chat"),
        ("/root/rpc/2.0/ai_custom/v1/wenxinworkshop/chat/completions", "ernie.chat"),
        ("/root/rpc/2.0/ai_custom/v1/wenxinworkshop/embeddings/embedding-v1", "embeddings"),
        ("/tgi/generate", "tgi.generate"),
        ("/tgi/generate_stream", "tgi.generate"),
        ("/replicate/v1/models/meta/llama/predictions", "predictions"),
        ("/replicate/v1/predictions/p1", "predictions.retrieve"),
        ("/replicate/v1/predictions/p1/cancel", "other"),
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
        ({"type": "message_batch"}, "messages.batches"),
        ({"object": "response.compaction"}, "responses.compact"),
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
