"""Usage as OpenAI's APIs and compatible servers state it: tokens, and what else decides the price.

Sources: platform.openai.com/docs/api-reference; the API references of DeepSeek, Moonshot, Alibaba, xAI, Groq,
OpenRouter, Perplexity, DeepInfra, LiteLLM and llama.cpp.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from gateway.models.request import NANOUSD_PER_USD, NO_BILLING, Billing, Usage
from gateway.wire.json_fields import (
    JsonObject,
    amount_in,
    count_in,
    first_positive,
    object_in,
    text_in,
    without_zeros,
)

# xAI states dollars in units of 10⁻¹⁰.
_TICKS_PER_NANO = 10

_MAX_NANOUSD = 2**63 - 1

_COST_NAMES = frozenset({"cost", "cost_in_usd_ticks", "estimated_cost"})

# What is read from and written to a cache, by other names than OpenAI's.
_READ_NAMES = (
    "prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens", "cache_read_tokens", "num_cached_tokens",
)  # fmt: skip
_WRITE_NAMES = (
    "cache_creation_tokens", "cache_creation_input_tokens", "cache_write_tokens", "cache_write_input_tokens",
)  # fmt: skip
_CREATIONS = frozenset({"cache_creation_token_details", "cache_creation"})
_CACHE_NAMES = frozenset(_READ_NAMES + _WRITE_NAMES)
# Within the details two of them are OpenAI's.
_DETAIL_NAMES = _CACHE_NAMES - {"cached_tokens", "cache_write_tokens"}
# Most usage has none of these.
_BILLED_NAMES = frozenset({"server_tool_use", "prompt_audio_seconds", *_CREATIONS})

_PROMPT_UNITS = {
    "audio_tokens": "input_audio_tokens",
    "image_tokens": "input_image_tokens",
    "video_tokens": "input_video_tokens",
}
_COMPLETION_UNITS = {"audio_tokens": "output_audio_tokens", "image_tokens": "output_image_tokens"}
_EMPTY_UNITS: Mapping[str, int] = {}


def usage_in(answer: JsonObject) -> JsonObject:
    """Return the usage object of an answer or a chunk: the first that counts anything."""
    usage = object_in(answer, "usage")
    if usage.get("total_tokens") or counts_anything(usage):
        return usage
    choices = answer.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    others = (
        object_in(object_in(answer, "x_groq"), "usage"),
        object_in(first, "usage"),
        _usage_of_timings(object_in(answer, "timings")),
    )
    return next((other for other in others if counts_anything(other)), usage)


def token_details(usage: JsonObject, part: str) -> JsonObject:
    """Return the parts of a count."""
    # Some say `token` where most say `tokens`.
    details = usage.get(part + "_tokens_details") or usage.get(part + "_token_details")
    return details if isinstance(details, dict) else {}


def counts_anything(usage: JsonObject) -> bool:
    """Tell whether a usage object counts or costs anything."""
    # Some servers send one of zeros, or of nulls, last.
    return any(
        counts_anything(value) if isinstance(value, dict) else isinstance(value, int | float) and value
        for value in usage.values()
    )


def usage_beside_cache(
    fresh: int | None,
    cached: int | None,
    written: int | None,
    completion: int | None,
    reasoning: int | None = None,
) -> Usage:
    """Return counts of which the cached ones are stated beside the prompt, as Anthropic's and Amazon's are."""
    prompt = None if fresh is None else fresh + (cached or 0) + (written or 0)
    return Usage(prompt, completion, cached, written, reasoning)


def read_usage(usage: JsonObject, prompt: str = "prompt", completion: str = "completion") -> Usage:
    """Return the counts of a usage object whose fields start with `prompt` and `completion`."""
    prompt_details = token_details(usage, prompt)
    prompt_tokens = count_in(usage, prompt + "_tokens")
    completion_tokens = count_in(usage, completion + "_tokens")
    if prompt_tokens is None and completion_tokens is None and prompt != "input" and _has_input_names(usage):
        return read_usage(usage, "input", "output")
    if usage.get(prompt + "_tokens") is None and usage.get(completion + "_tokens") is None:
        # Embeddings and rerankers of Voyage, Jina and others count nothing but a total.
        prompt_tokens = count_in(usage, "total_tokens")
    reasoning_tokens = count_in(token_details(usage, completion), "reasoning_tokens")
    if reasoning_tokens and completion_tokens is not None:
        # xAI counts reasoning beside the completion; the total then shows it, or that it is the larger of the two.
        is_apart = reasoning_tokens > completion_tokens or (
            count_in(usage, "total_tokens") == (prompt_tokens or 0) + completion_tokens + reasoning_tokens
        )
        completion_tokens += reasoning_tokens if is_apart else 0
    elif reasoning_tokens is None and "reasoning_tokens" in usage:
        # SGLang counts it within the completion, Perplexity beside what it calls tokens at all.
        beside = count_in(usage, "reasoning_tokens")
        reasoning_tokens = beside if beside is not None and beside <= (completion_tokens or 0) else None
    cached_tokens = count_in(prompt_details, "cached_tokens")
    cache_write_tokens = count_in(prompt_details, "cache_write_tokens")
    if not _CACHE_NAMES.isdisjoint(usage) or not _DETAIL_NAMES.isdisjoint(prompt_details):
        # The first name that counts anything holds; LiteLLM states the same counts under two.
        cached_tokens = _first_count(cached_tokens, (prompt_details, usage), _READ_NAMES)
        cache_write_tokens = _first_count(cache_write_tokens, (prompt_details, usage), _WRITE_NAMES)
    if (cached_tokens or cache_write_tokens) and prompt_tokens is not None:
        cache_total = (cached_tokens or 0) + (cache_write_tokens or 0)
        # A part cannot be larger than its whole: it was counted beside it, as Anthropic does.
        prompt_tokens += cache_total if cache_total > prompt_tokens else 0
    return Usage(prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens)


def _first_count(known: int | None, places: tuple[JsonObject, ...], names: tuple[str, ...]) -> int | None:
    if known:
        return known
    found = first_positive(*((place, name) for name in names for place in places))
    return known if found is None else found


def _has_input_names(usage: JsonObject) -> bool:
    return "input_tokens" in usage or "output_tokens" in usage


def add_usage(usages: Iterable[Usage]) -> Usage:
    """Return the sums of counts; a sum is None where every count is."""
    sums: dict[str, int] = {}
    for usage in usages:
        for name in Usage.__slots__:  # type: ignore[attr-defined]
            if (count := getattr(usage, name)) is not None:
                sums[name] = sums.get(name, 0) + count
    return Usage(**sums)


def read_billing(
    answer: JsonObject, usage: JsonObject, prompt: str = "prompt", completion: str = "completion"
) -> Billing:
    """Return what decides the price of an answer beside its tokens."""
    stated = None if _COST_NAMES.isdisjoint(usage) else stated_cost(usage)
    details = token_details(usage, prompt)
    units = _read_units(details, _PROMPT_UNITS)
    if completion_units := _read_units(token_details(usage, completion), _COMPLETION_UNITS):
        units = {**units, **completion_units}
    if not _BILLED_NAMES.isdisjoint(usage) or not _CREATIONS.isdisjoint(details):
        units = {**units, **_read_extra_units(usage, details)}
    tier = answer.get("service_tier", usage.get("service_tier"))
    if stated is None and not units and (tier is None or tier == "default"):
        return NO_BILLING
    tier = text_in({"tier": tier}, "tier")
    return Billing(stated, units, {"service_tier": tier} if tier else {})


def stated_cost(usage: JsonObject) -> int | None:
    """Return the cost that a usage object states, in nano-dollars."""
    cost = usage.get("cost")
    if isinstance(cost, dict):
        cost = cost.get("total_cost", cost.get("total"))
    if cost is None and (ticks := count_in(usage, "cost_in_usd_ticks")) is not None:
        return round(Decimal(ticks) / _TICKS_PER_NANO)
    nanousd = usd_to_nanousd(usage.get("estimated_cost") if cost is None else cost)
    if nanousd is not None and usage.get("is_byok") is True:
        # OpenRouter charges its own share only; the provider charges the caller's own key.
        nanousd += usd_to_nanousd(object_in(usage, "cost_details").get("upstream_inference_cost")) or 0
    return nanousd


def usd_to_nanousd(dollars: object) -> int | None:
    """Return dollars, a number or its text, as nano-dollars; None for anything else."""
    if isinstance(dollars, bool) or not isinstance(dollars, int | float | str):
        return None
    try:
        # By way of its shortest decimal form: 0.00123 is meant, not the nearest binary fraction.
        amount = Decimal(str(dollars)) * NANOUSD_PER_USD
        return round(amount) if 0 <= amount <= _MAX_NANOUSD else None
    except (ArithmeticError, ValueError):
        return None


def _read_extra_units(usage: JsonObject, details: JsonObject) -> Mapping[str, float]:
    # LiteLLM and others pass on Anthropic's two prices of cache writes and its searches; Mistral counts seconds.
    written = first_positive(
        *(
            (object_in(place, name), "ephemeral_1h_input_tokens")
            for place in (details, usage)
            for name in sorted(_CREATIONS)
        )
    )
    found = {
        "cache_write_1h_tokens": written,
        "web_searches": count_in(object_in(usage, "server_tool_use"), "web_search_requests"),
        "audio_seconds": amount_in(usage, "prompt_audio_seconds"),
    }
    return without_zeros(found)


def _read_units(details: JsonObject, names: Mapping[str, str]) -> Mapping[str, float]:
    # Nearly all have none of these, or zeros: one look saves going through the names.
    if not (details.get("audio_tokens") or details.get("image_tokens") or details.get("video_tokens")):
        return _EMPTY_UNITS
    return {unit: count for name, unit in names.items() if (count := count_in(details, name))}


def _usage_of_timings(timings: JsonObject) -> JsonObject:
    # llama.cpp's own counts, which its streams have also where the caller asked for no usage.
    fresh, cached = count_in(timings, "prompt_n"), count_in(timings, "cache_n")
    generated = count_in(timings, "predicted_n")
    if fresh is None and generated is None:
        return {}
    return {
        "prompt_tokens": (fresh or 0) + (cached or 0),
        "completion_tokens": generated,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
