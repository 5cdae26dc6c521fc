"""Helicone's tables and columns, and what each is here. The tables of docs/helicone.md say the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from gateway.api.helicone.operators import Column, dollars, flag, has, number, one_of, refused, text, time
from gateway.domain.exchange import in_small_letters

PROVIDERS: Mapping[str, str] = MappingProxyType(
    {
        name.lower(): name
        for name in (
            "OPENAI", "ANTHROPIC", "AZURE", "LOCAL", "TOGETHER", "FIREWORKS", "PERPLEXITY", "GOOGLE",
            "OPENROUTER", "GROQ", "COHERE", "MISTRAL", "DEEPINFRA", "AWS", "DEEPSEEK", "X", "NEBIUS", "NOVITA",
        )
    }
)  # fmt: skip
"""Helicone's names of providers, by the names that they have in our configuration."""

OTHER_PROVIDER = "CUSTOM"
"""Its name for a provider that has none."""

_NO_COUNTRY = refused("where callers are is not kept")
_NO_JOBS = refused("there are no jobs here")

NO_INPUTS = "inputs of prompts stay in their bodies; what is to be found by name can be sent as a property"
ONLY_CACHED = "of a cache it is only kept whether it answered"
"""Why columns cannot be searched or sorted by."""


def property_field(name: str) -> str:
    """Return our field of a property. The case of names does not matter: they come from names of header fields."""
    return f"property_in_any_case.{in_small_letters(name)}"


COLUMNS: Mapping[str, Mapping[str, Column]] = MappingProxyType(
    {
        "request": {
            "prompt": text("request_text"),
            "created_at": time("started_at_us"),
            "user_id": text("user"),
            "auth_hash": refused("of a key its name alone is kept"),
            "org_id": text("tenant"),
            "id": text("request_id"),
            "node_id": _NO_JOBS,
            "model": text("requested_model"),
            "modelOverride": text("stated_model"),
            "path": text("path"),
            "country_code": _NO_COUNTRY,
            "prompt_id": text("prompt"),
        },
        "response": {
            "body_tokens": number("total_tokens"),
            "body_model": text("any_model"),
            "body_completion": text("response_text"),
            "status": number("status"),
            "model": text("model"),
        },
        "feedback": {
            "id": text("feedback.id"),
            "created_at": time("feedback.updated_at_us"),
            "rating": flag("feedback.rating"),
        },
        "request_response_rmt": {
            "latency": number("duration_ms"),
            "status": number("status"),
            "request_created_at": time("started_at_us"),
            "response_created_at": time("ended_at_us"),
            "model": text("any_model"),
            "user_id": text("user"),
            "organization_id": text("tenant"),
            "node_id": _NO_JOBS,
            "job_id": _NO_JOBS,
            "threat": refused("requests are not checked for threats"),
            "request_id": text("request_id"),
            "prompt_id": text("prompt"),
            "prompt_version": refused("prompts are kept by their name alone"),
            "prompt_tokens": number("prompt_tokens"),
            "completion_tokens": number("completion_tokens"),
            "total_tokens": number("total_tokens"),
            "prompt_cache_read_tokens": number("cached_tokens"),
            "prompt_cache_write_tokens": number("cache_write_tokens"),
            "time_to_first_token": number("first_byte_ms"),
            "target_url": refused("of a target its provider alone is kept"),
            "provider": one_of("provider", PROVIDERS, OTHER_PROVIDER),
            "request_body": text("request_text"),
            "response_body": text("response_text"),
            "assets": refused("files are kept as parts of bodies"),
            "scores_column": has(lambda name: f"score.{name}"),
            "helicone-score-feedback": flag("feedback.rating"),
            "cost": dollars("cost_nanousd"),
            "cached": flag("is_cached"),
            "cache_enabled": refused(ONLY_CACHED),
            "cache_reference_id": refused(ONLY_CACHED),
            "property_key": has(property_field),
            "country_code": _NO_COUNTRY,
        },
    }
)
"""Columns by table."""

NAMED: Mapping[str, Callable[[str], Column]] = MappingProxyType(
    {
        "properties": lambda name: text(property_field(name)),
        "values": lambda name: refused(NO_INPUTS),
    }
)
"""Tables that have a column for any name."""

NESTED: Mapping[str, Mapping[str, Callable[[str], Column]]] = MappingProxyType(
    {
        "request_response_rmt": {
            "properties": NAMED["properties"],
            "search_properties": NAMED["properties"],
            "scores": lambda name: number(f"score.{name}"),
        }
    }
)
"""Columns that have a column for any name in them."""
