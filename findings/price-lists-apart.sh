#!/usr/bin/env bash
# The same usage, priced by the two price lists that are most in use, as their packages bring them.
#
# Versions: genai-prices==0.2.3, litellm==1.110.2 (its own list, not the one that it fetches); CPython 3.11.7 on Linux
# Guessed: for a model that both know, they differ by rounding at most, and a model that one of them does not know is an error
# Seen: a factor of two for Claude Sonnet 4.5 above 200,000 tokens, for the tier that an answer of OpenAI names and for
#   Claude's fast mode; nothing at litellm for a web search by Claude Haiku 4.5; a tenth for inference in the US.
#   litellm prices a dated name of Claude Sonnet 4 that is not in its list at 0
# Output:
#                                    genai-prices  litellm
#   claude-sonnet-4-5, 250,000 in    1.502250      0.751500
#   claude-haiku-4-5, web searches   0.101500      0.001500
#   claude-opus-4-8, speed fast      0.007500      0.015000
#   claude-opus-4-8, geo us          0.007500      0.008250
#   claude-sonnet-4-20250514         0.004500      0.000000
#   gpt-5, tier flex                 0.002250      0.001125
#   gpt-5, tier priority             0.002250      0.004500
#   ft:gpt-4.1-mini                  no price      0.001120
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'genai-prices==0.2.3' 'litellm==1.110.2'
LITELLM_LOCAL_MODEL_COST_MAP=True venv/bin/python - <<'PY'
import logging
from datetime import datetime, timezone

import litellm
from genai_prices import extract_usage
from litellm.llms.anthropic.chat.transformation import AnthropicConfig

logging.disable()
DAY = datetime(2026, 11, 1, tzinfo=timezone.utc)

def by_genai_prices(provider, flavor, answer):
    try:
        found = extract_usage(answer, provider_id=provider, api_flavor=flavor)
        return f"{found.calc_price(genai_request_timestamp=DAY).total_price:.6f}"
    except LookupError:
        return "no price"

def by_litellm(provider, model, usage, **more):
    choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
    answer = litellm.ModelResponse(model=model, choices=[choice], usage=usage, **more)
    return f"{litellm.completion_cost(answer, model=model, custom_llm_provider=provider):.6f}"

def claude(model, **usage):
    """The price of an answer in Anthropic's shape, of a thousand tokens and a hundred unless said otherwise."""
    usage = {"input_tokens": 1000, "output_tokens": 100} | usage
    counts = AnthropicConfig().calculate_usage(usage_object=usage, reasoning_content=None)
    return by_genai_prices("anthropic", "default", {"model": model, "usage": usage}), by_litellm("anthropic", model, counts)

def gpt(model, **more):
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    return by_genai_prices("openai", "chat", {"model": model, "usage": usage, **more}), by_litellm("openai", model, usage, **more)

seen = {
    "claude-sonnet-4-5, 250,000 in": claude("claude-sonnet-4-5", input_tokens=250_000),
    "claude-haiku-4-5, web searches": claude("claude-haiku-4-5", server_tool_use={"web_search_requests": 10}),
    "claude-opus-4-8, speed fast": claude("claude-opus-4-8", speed="fast"),
    "claude-opus-4-8, geo us": claude("claude-opus-4-8", inference_geo="us"),
    "claude-sonnet-4-20250514": claude("claude-sonnet-4-20250514"),
    "gpt-5, tier flex": gpt("gpt-5", service_tier="flex"),
    "gpt-5, tier priority": gpt("gpt-5", service_tier="priority"),
    "ft:gpt-4.1-mini": gpt("ft:gpt-4.1-mini-2025-04-14:acme::1"),
}
print(f"{'':<32} genai-prices  litellm")
for name, (ours, theirs) in seen.items():
    print(f"{name:<32} {ours:<13} {theirs}")
assert claude("claude-sonnet-4-5")[0] == claude("claude-sonnet-4-5")[1] and gpt("gpt-5")[0] == gpt("gpt-5")[1]
assert list(seen.values()) == [("1.502250", "0.751500"), ("0.101500", "0.001500"), ("0.007500", "0.015000"),
                               ("0.007500", "0.008250"), ("0.004500", "0.000000"), ("0.002250", "0.001125"),
                               ("0.002250", "0.004500"), ("no price", "0.001120")]
PY
