"""OpenAI's usage object, in the two spellings that its APIs have.

Source: https://platform.openai.com/docs/api-reference (`usage` of chat completions, completions, embeddings
and responses). Cached and cache-write tokens are counted within the prompt, reasoning within the completion.
"""

from __future__ import annotations

from gateway.domain.request import Usage
from gateway.wire.fields import JsonObject, count_in, object_in


def read_usage(usage: JsonObject, prompt: str = "prompt", completion: str = "completion") -> Usage:
    """Return the counts of a usage object whose fields start with `prompt` and `completion`."""
    prompt_details = object_in(usage, f"{prompt}_tokens_details")
    prompt_tokens = count_in(usage, f"{prompt}_tokens")
    cached_tokens = count_in(prompt_details, "cached_tokens")
    completion_tokens = count_in(usage, f"{completion}_tokens")
    reasoning_tokens = count_in(object_in(usage, f"{completion}_tokens_details"), "reasoning_tokens")
    if completion_tokens is not None and reasoning_tokens:
        # xAI counts reasoning beside the completion; the total then shows it.
        is_apart = (
            count_in(usage, "total_tokens") == (prompt_tokens or 0) + completion_tokens + reasoning_tokens
        )
        completion_tokens += reasoning_tokens if is_apart else 0
    return Usage(
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        # DeepSeek's name for the same count.
        cached_tokens=count_in(usage, "prompt_cache_hit_tokens") if cached_tokens is None else cached_tokens,
        cache_write_tokens=count_in(prompt_details, "cache_write_tokens"),
        reasoning_tokens=reasoning_tokens,
    )
