"""Usage as Google's APIs state it: tokens, their modalities, and what else decides the price.

Sources: https://ai.google.dev/api/generate-content (UsageMetadata), /gemini-api/docs/pricing and
/gemini-api/docs/google-search (how searches are billed); google-genai 3.6.1, `types.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from gateway.domain.request import NOTHING_STATED, Billing, Usage
from gateway.wire.fields import JsonObject, count_in, text_in

Modalities = Mapping[str, int]
"""Tokens by their modality, as units are called: `audio`, `image`, `video`."""

_MODALITY = {"audio": "audio", "image": "image", "document": "image", "video": "video"}
"""Text is what is left over; pages of documents are billed as images."""

_TRAFFIC = {"ON_DEMAND_PRIORITY": "priority", "ON_DEMAND_FLEX": "flex"}
_UNTOLD_TIERS = frozenset({"standard", "unspecified"})

_BILLED_BY_PROMPT = re.compile(r"(?:^|-)[12]\.[05](?!\d)")
"""Models up to Gemini 2.5 bill one search a prompt, later ones each search that was made."""


def add_up(
    prompt: int | None,
    tool_prompt: int | None,
    answer: int | None,
    thoughts: int | None,
    cached: int | None,
    total: int | None,
) -> Usage:
    """Return the counts as rows have them, from Google's, which counts tools' results beside the prompt and
    thoughts beside the answer; cached tokens are within the prompt."""
    prompt_tokens = None if prompt is None and tool_prompt is None else (prompt or 0) + (tool_prompt or 0)
    completion_tokens = None if answer is None and thoughts is None else (answer or 0) + (thoughts or 0)
    if answer and thoughts and total == (prompt_tokens or 0) + answer:
        # Some servers count thoughts within the answer; the total then shows it.
        completion_tokens = answer
    if prompt_tokens is not None and cached is not None and cached > prompt_tokens:
        prompt_tokens += cached
    return Usage(prompt_tokens, completion_tokens, cached_tokens=cached, reasoning_tokens=thoughts)


def count_modalities(details: Iterable[JsonObject], key: str) -> Modalities:
    """Return the tokens by modality of lists like `promptTokensDetails`, whose counts are called `key`."""
    found: dict[str, int] = {}
    for detail in details:
        modality = _MODALITY.get((text_in(detail, "modality") or "").lower())
        if modality is not None and (count := count_in(detail, key)):
            found[modality] = found.get(modality, 0) + count
    return found


def split_by_modality(
    usage: Usage, prompt: Modalities, cached: Modalities, answer: Modalities
) -> dict[str, int]:
    """Return the units that these modalities are; never more than the tokens that they are part of.

    What of a modality was cached is always stated, nought included: the price library refuses to price a
    modality beside cached tokens without it.
    """
    units: dict[str, int] = {}
    read = min(usage.cached_tokens or 0, usage.prompt_tokens or 0)
    fresh = (usage.prompt_tokens or 0) - read
    unread = read
    for modality in sorted(prompt.keys() | cached.keys()):
        from_cache = min(cached.get(modality, 0), unread)
        new = min(max(prompt.get(modality, 0) - from_cache, 0), fresh)
        # What fresh tokens have no room for must have come from the cache.
        from_cache = min(max(from_cache, prompt.get(modality, 0) - new), unread)
        fresh, unread = fresh - new, unread - from_cache
        if new + from_cache:
            units[f"input_{modality}_tokens"] = new + from_cache
            if read:
                units[f"cache_{modality}_read_tokens"] = from_cache
    room = usage.completion_tokens or 0
    for modality in sorted(answer):
        if count := min(answer[modality], room):
            units[f"output_{modality}_tokens"] = count
            room -= count
    return units


def count_searches(queries: int, model: str | None) -> dict[str, int]:
    """Return the searches that are billed, of those that a model made."""
    if not queries:
        return {}
    return {"web_searches": 1 if model and _BILLED_BY_PROMPT.search(model) else queries}


def terms_of(service_tier: str | None, traffic: str | None = None) -> Mapping[str, str]:
    """Return the terms under which a tier, or Vertex' type of traffic, is priced."""
    tier = _TRAFFIC.get(traffic or "") or (service_tier or "").lower().removeprefix("service_tier_")
    return {"service_tier": tier} if tier and tier not in _UNTOLD_TIERS else {}


def billing_of(units: Mapping[str, int], terms: Mapping[str, str]) -> Billing:
    """Return what decides the price beside the tokens."""
    return Billing(units=units, terms=terms) if units or terms else NOTHING_STATED
