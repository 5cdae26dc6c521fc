from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import genai_prices
import pytest
from genai_prices.data import providers
from genai_prices.types import Provider
from hypothesis import given
from hypothesis import strategies as st

from gateway.models.request import NANOUSD_PER_USD, Charge, Usage
from gateway.wire.pricing import find_tariff

TIMES = [
    datetime(2024, 1, 1, tzinfo=UTC),
    datetime(2026, 3, 12, 23, 59, 59, 999_999, UTC),
    datetime(2026, 3, 13, tzinfo=UTC),
    datetime(2027, 6, 1, 3, 30, tzinfo=UTC),
    datetime(2027, 6, 1, 20, 0, tzinfo=UTC),
]
USAGES = [
    Usage(),
    Usage(prompt_tokens=1, completion_tokens=1),
    Usage(
        prompt_tokens=1234,
        completion_tokens=567,
        cached_tokens=1000,
        cache_write_tokens=34,
        reasoning_tokens=89,
    ),
    Usage(prompt_tokens=250_001, completion_tokens=9, cached_tokens=200_000),
    Usage(prompt_tokens=1, cached_tokens=2),
]
COUNTS = st.none() | st.integers(0, 2_000_000)


def micros(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000)


def price_by_library(provider: str, model: str, usage: Usage, at: datetime) -> Decimal | None:
    try:
        price = genai_prices.calc_price(
            genai_prices.Usage(
                input_tokens=usage.prompt_tokens,
                cache_read_tokens=usage.cached_tokens,
                cache_write_tokens=usage.cache_write_tokens,
                output_tokens=usage.completion_tokens,
                output_reasoning_tokens=usage.reasoning_tokens,
            ),
            model,
            provider_id=provider,
            genai_request_timestamp=at,
        )
    except ValueError:
        return None
    known = {name for name, each in vars(price.model_price).items() if each is not None}
    counted = {"input_mtok"} if usage.prompt_tokens is not None else set()
    counted |= {"output_mtok"} if usage.completion_tokens is not None else set()
    if known and counted and counted.isdisjoint(known):
        # Not free, but billed by something else than tokens.
        return None
    return price.total_price * NANOUSD_PER_USD


@pytest.mark.parametrize("provider", providers, ids=lambda provider: provider.id)
def test_every_price_equals_the_librarys_own_calculation(provider: Provider) -> None:
    for model in provider.models:
        tariff = find_tariff(model.id, "unheard-of", library_name=provider.id)
        if tariff is None:
            with pytest.raises(LookupError):
                genai_prices.calc_price(genai_prices.Usage(), model.id, provider_id=provider.id)
            continue
        for at in TIMES if isinstance(model.prices, list) else TIMES[:1]:
            for usage in USAGES:
                expected = price_by_library(provider.id, model.id, usage, at)
                assert tariff.price(Charge(usage=usage), micros(at)) == expected, (model.id, usage, at)


@given(st.sampled_from(["gpt-4o-mini-2024-07-18", "gpt-5", "gpt-3.5-turbo-instruct"]), COUNTS, COUNTS, COUNTS)
def test_any_usage_costs_what_the_library_says(
    model: str, prompt: int | None, completion: int | None, cached: int | None
) -> None:
    usage = Usage(prompt_tokens=prompt, completion_tokens=completion, cached_tokens=cached)
    tariff = find_tariff(model, "openai")
    assert tariff is not None
    assert tariff.price(Charge(usage=usage), micros(TIMES[0])) == price_by_library(
        "openai", model, usage, TIMES[0]
    )


def test_most_prices_are_flat_and_need_not_ask_the_library_again() -> None:
    tariff = find_tariff("gpt-4o-mini", "openai")
    assert tariff is not None
    assert len(tariff.flat) == 1


def test_a_price_with_tiers_rises_with_the_prompt() -> None:
    tariff = find_tariff("gemini-2.5-pro", "google")
    assert tariff is not None
    assert not tariff.flat
    below = tariff.price(Charge(usage=Usage(prompt_tokens=200_000)), micros(TIMES[0]))
    above = tariff.price(Charge(usage=Usage(prompt_tokens=200_001)), micros(TIMES[0]))
    assert below is not None
    assert above is not None
    assert above > below * Decimal("1.5")


def test_the_price_of_the_time_of_the_request_holds() -> None:
    tariff = find_tariff("deepseek-chat", "deepseek")
    assert tariff is not None
    usage = Usage(prompt_tokens=1000, completion_tokens=1000)
    by_hour = {
        tariff.price(Charge(usage=usage), micros(datetime(2025, 6, 1, hour, tzinfo=UTC)))
        for hour in range(24)
    }
    assert len(by_hour) == 2


@pytest.mark.parametrize("at_us", [-(10**30), 10**30])
def test_a_time_beyond_the_calendar_has_no_price(at_us: int) -> None:
    tariff = find_tariff("gpt-4o-mini", "openai")
    assert tariff is not None
    assert tariff.price(Charge(usage=Usage(prompt_tokens=1)), at_us) is None


@pytest.mark.parametrize(
    ("name", "base_url", "library_name", "model", "found"),
    [
        ("openai", None, None, "gpt-4o-mini", "openai"),
        ("mine", "https://api.openai.com/v1", None, "gpt-4o-mini", "openai"),
        ("mine", "http://127.0.0.1:9000/v1", "openai", "gpt-4o-mini", "openai"),
        ("openai", "https://openrouter.ai/api/v1", None, "openai/gpt-4o-mini", "openrouter"),
        ("openai", "https://openrouter.ai/api/v1", "openai", "gpt-4o-mini", "openai"),
        ("mine", "http://127.0.0.1:9000/v1", None, "gpt-4o-mini-2024-07-18", "openai"),
        ("mine", "https://bedrock-runtime.eu-west-1.amazonaws.com", None, "amazon.nova-lite-v1:0", "aws"),
        (
            "mine",
            "https://bedrock-runtime-fips.us-east-1.amazonaws.com",
            None,
            "amazon.nova-lite-v1:0",
            "aws",
        ),
        ("mine", "https://bedrock-mantle.us-east-1.api.aws/anthropic", None, "claude-opus-5", "aws"),
        ("mine", "https://vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com", None, "claude-opus-5", "aws"),
        ("mine", "https://bedrock-runtime.evil.example/", None, "claude-opus-5", "anthropic"),
        ("mine", None, None, "claude-sonnet-4-5-20250929", "anthropic"),
        ("mine", None, "no-such-name", "claude-sonnet-4-5-20250929", "anthropic"),
    ],
)
def test_a_provider_is_found_by_library_name_then_url_then_name_then_model(
    name: str, base_url: str | None, library_name: str | None, model: str, found: str
) -> None:
    tariff = find_tariff(model, name, base_url, library_name)
    assert tariff is not None
    assert tariff.provider.id == found


@pytest.mark.parametrize(
    ("name", "model"),
    [("mine", "my-own-model"), ("openai", "my-own-model"), ("groq", "gpt-4o-mini"), ("mine", ""), ("", "")],
)
def test_a_model_that_its_provider_does_not_have_has_no_price(name: str, model: str) -> None:
    assert find_tariff(model, name) is None


@pytest.mark.parametrize(
    ("provider", "model", "usage", "units", "terms", "nanousd"),
    [
        ("anthropic", "claude-opus-4-5", Usage(110, 0, 0, 100), {"cache_write_1h_tokens": 80}, {}, 975_000),
        ("anthropic", "claude-opus-4-5", Usage(100, 20), {"web_searches": 3}, {}, 31_000_000),
        ("openai", "gpt-5.1", Usage(2000, 500), {}, {"service_tier": "flex"}, 3_750_000),
        ("openai", "gpt-5.1", Usage(2000, 500), {}, {"service_tier": "priority"}, 15_000_000),
        ("openai", "gpt-5.1", Usage(2000, 500), {}, {"service_tier": "default"}, 7_500_000),
        ("openai", "gpt-5.1", Usage(2000, 500), {}, {"service_tier": "unheard-of"}, 7_500_000),
        ("openai", "whisper-1", Usage(), {"audio_seconds": 8.5}, {}, 850_000),
        ("openai", "tts-1", Usage(), {"input_characters": 1000}, {}, 15_000_000),
        ("openai", "gpt-4o-mini-tts", Usage(), {"input_characters": 1000}, {}, None),
        ("openai", "whisper-1", Usage(10, 10), {}, {}, None),
        ("openai", "gpt-4o-transcribe", Usage(100, 10), {"input_audio_tokens": 90}, {}, 665_000),
        ("openai", "gpt-image-1.5", Usage(50, 1000), {"output_image_tokens": 1000}, {}, 32_250_000),
        ("mistral", "mistral-ocr-2505", Usage(), {"input_document_pages": 10}, {}, 10_000_000),
        ("anthropic", "claude-opus-4-5", Usage(100, 20), {}, {"processing": "batch"}, 500_000),
        ("anthropic", "claude-opus-4-1", Usage(100, 20), {}, {"processing": "batch"}, None),
        ("cohere", "command-a-03-2025", Usage(12, 4), {"rerank_searches": 1}, {}, 70_000),
    ],
)  # fmt: skip
def test_what_is_priced_apart_and_under_terms_costs_what_the_library_says(
    provider: str,
    model: str,
    usage: Usage,
    units: dict[str, float],
    terms: dict[str, str],
    nanousd: int | None,
) -> None:
    tariff = find_tariff(model, provider)
    assert tariff is not None
    at_us = micros(datetime(2026, 11, 30, tzinfo=UTC))
    assert tariff.price(Charge(usage=usage, units=units, terms=terms), at_us) == nanousd
