"""Helicone's tables and columns, and what each is here. The tables of docs/helicone.md say the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from gateway.api.helicone.operators import Column, dollars, flag, has, number, one_of, refused, text, time

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

_BODY = refused("bodies are kept compressed")
_NOT_KEPT = refused("it is not kept here")

COLUMNS: Mapping[str, Mapping[str, Column]] = MappingProxyType(
    {
        "request": {
            "prompt": _BODY,
            "created_at": time("started_at_us"),
            "user_id": text("user"),
            "auth_hash": _NOT_KEPT,
            "org_id": text("tenant"),
            "id": text("request_id"),
            "node_id": _NOT_KEPT,
            "model": text("requested_model"),
            "modelOverride": _NOT_KEPT,
            "path": text("path"),
            "country_code": _NOT_KEPT,
            "prompt_id": text("prompt"),
        },
        "response": {
            "body_tokens": number("total_tokens"),
            "body_model": text("model"),
            "body_completion": _BODY,
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
            "node_id": _NOT_KEPT,
            "job_id": _NOT_KEPT,
            "threat": _NOT_KEPT,
            "request_id": text("request_id"),
            "prompt_tokens": number("prompt_tokens"),
            "completion_tokens": number("completion_tokens"),
            "total_tokens": number("total_tokens"),
            "time_to_first_token": number("first_byte_ms"),
            "target_url": _NOT_KEPT,
            "provider": one_of("provider", PROVIDERS, OTHER_PROVIDER),
            "request_body": _BODY,
            "response_body": _BODY,
            "scores_column": has("score."),
            "cost": dollars("cost_nanousd"),
            "cache_enabled": _NOT_KEPT,
            "property_key": has("property."),
            "country_code": _NOT_KEPT,
        },
    }
)
"""Columns by table."""

NAMED: Mapping[str, Callable[[str], Column]] = MappingProxyType(
    {
        "properties": lambda name: text(f"property.{name}"),
        "values": lambda name: refused("inputs of prompts are not kept here"),
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
