from __future__ import annotations

import genai_prices
import pytest

from gateway.models.request import NO_BILLING, Billing, Charge, Cost, Usage
from gateway.wire.pricing import (
    ConfiguredPrice,
    PricedProvider,
    PriceTable,
    by_price_region,
    without_vendor_prefix,
)

AT_US = 1_753_000_000_000_000
USAGE = Usage(prompt_tokens=1_000_000, completion_tokens=100_000)


def cost(
    table: PriceTable,
    provider: str,
    base_url: str | None,
    model: str | tuple[str, ...],
    usage: Usage,
    billing: Billing = NO_BILLING,
) -> Cost | None:
    models = (model,) if isinstance(model, str) else model
    return table.cost(PricedProvider(provider, base_url), models, usage, billing, AT_US)


def test_a_known_model_costs_what_the_library_says_and_names_its_version() -> None:
    found = cost(PriceTable({}), "openai", None, "gpt-4o-mini-2024-07-18", USAGE)
    assert found == Cost(150_000_000 + 60_000_000, f"genai-prices {genai_prices.__version__}")


def test_a_configured_price_takes_the_place_of_the_librarys() -> None:
    table = PriceTable({"gpt-4o-mini": ConfiguredPrice(input=1, output=2)})
    assert cost(table, "openai", None, "gpt-4o-mini", USAGE) == Cost(1_200_000_000, "config")


def test_a_price_for_one_providers_model_goes_before_one_for_the_model_anywhere() -> None:
    table = PriceTable({"m": ConfiguredPrice(1, 1), "cheap/m": ConfiguredPrice(0, 0)})
    assert cost(table, "cheap", None, "m", USAGE) == Cost(0, "config")
    assert cost(table, "expensive", None, "m", USAGE) == Cost(1_100_000_000, "config")


def test_a_configured_price_holds_for_dated_snapshots_without_a_price_of_their_own() -> None:
    table = PriceTable(
        {
            "gpt-x": ConfiguredPrice(1, 0),
            "gpt-x-2026-01-02": ConfiguredPrice(2, 0),
            "us/claude-y": ConfiguredPrice(3, 0),
        }
    )
    assert cost(table, "p", None, "gpt-x-2025-12-31", USAGE) == Cost(1_000_000_000, "config")
    assert cost(table, "p", None, "gpt-x-2026-01-02", USAGE) == Cost(2_000_000_000, "config")
    assert cost(table, "us", None, "claude-y-20250929", USAGE) == Cost(3_000_000_000, "config")
    assert cost(table, "p", None, "gpt-x-mini", USAGE) is None


def test_cached_and_written_tokens_cost_as_input_unless_they_have_a_price() -> None:
    usage = Usage(prompt_tokens=1_000_000, cached_tokens=400_000, cache_write_tokens=200_000)
    plain, priced = (
        ConfiguredPrice(input=10, output=0),
        ConfiguredPrice(input=10, output=0, cached=1, cache_write=12.5),
    )
    assert cost(PriceTable({"m": plain}), "p", None, "m", usage) == Cost(10_000_000_000, "config")
    assert cost(PriceTable({"m": priced}), "p", None, "m", usage) == Cost(6_900_000_000, "config")


def test_a_price_is_meant_as_it_is_written_not_as_its_nearest_binary_fraction() -> None:
    usage = Usage(prompt_tokens=1_000_000_000_000)
    assert cost(PriceTable({"m": ConfiguredPrice(0.1, 0)}), "p", None, "m", usage) == Cost(10**14, "config")


def test_a_fraction_of_a_nano_dollar_is_rounded_to_the_even_one() -> None:
    table = PriceTable({"m": ConfiguredPrice(input=0.0005, output=0)})
    costs = [cost(table, "p", None, "m", Usage(prompt_tokens=count)) for count in (1, 2, 3)]
    assert costs == [Cost(0, "config"), Cost(1, "config"), Cost(2, "config")]


def test_a_provider_is_priced_as_the_one_it_is_said_to_be() -> None:
    table = PriceTable({}, prices_as={"eu": "mistral"})
    mistral = cost(PriceTable({}), "mistral", None, "mistral-large-latest", USAGE)
    assert cost(table, "eu", None, "mistral-large-latest", USAGE) == mistral
    assert cost(table, "eu", "https://api.openai.com/v1", "gpt-4o-mini", USAGE) is None


def test_an_unknown_model_has_no_cost() -> None:
    assert cost(PriceTable({}), "openai", "https://api.openai.com/v1", "my-own", USAGE) is None
    assert cost(PriceTable({}), "mine", None, "g" * 100_000, USAGE) is None


def test_without_counted_tokens_there_is_no_cost() -> None:
    assert cost(PriceTable({"m": ConfiguredPrice(1, 1)}), "p", None, "m", Usage()) is None


def test_one_missing_count_costs_nothing() -> None:
    table = PriceTable({"m": ConfiguredPrice(1, 2)})
    assert cost(table, "p", None, "m", Usage(prompt_tokens=1_000_000)) == Cost(10**9, "config")
    assert cost(table, "p", None, "m", Usage(completion_tokens=1_000_000)) == Cost(2 * 10**9, "config")


def test_counts_that_contradict_each_other_have_no_cost() -> None:
    usage = Usage(prompt_tokens=1, cached_tokens=2)
    assert cost(PriceTable({"m": ConfiguredPrice(1, 1)}), "p", None, "m", usage) is None
    assert cost(PriceTable({}), "openai", None, "gpt-4o-mini", usage) is None


def test_a_cost_that_no_database_could_hold_is_none() -> None:
    table = PriceTable({"m": ConfiguredPrice(1e12, 0)})
    assert cost(table, "p", None, "m", Usage(prompt_tokens=10**12)) is None


def test_a_cost_that_the_provider_states_goes_before_the_librarys_and_after_the_configurations() -> None:
    stated = Billing(stated_nanousd=7)
    assert cost(PriceTable({}), "openai", None, "gpt-4o-mini", USAGE, stated) == Cost(7, "provider")
    assert cost(PriceTable({}), "mine", None, "unheard-of", Usage(), stated) == Cost(7, "provider")
    table = PriceTable({"gpt-4o-mini": ConfiguredPrice(1, 1)})
    assert cost(table, "openai", None, "gpt-4o-mini", USAGE, stated) == Cost(1_100_000_000, "config")


def test_the_first_name_that_has_a_price_is_taken() -> None:
    known = cost(PriceTable({}), "openai", None, "gpt-4o-mini", USAGE)
    assert cost(PriceTable({}), "openai", None, ("team-chat-prod", "gpt-4o-mini"), USAGE) == known
    assert cost(PriceTable({}), "openai", None, ("ft:gpt-4.1-mini-2025-04-14:acme::1",), USAGE) is None
    table = PriceTable({"team-chat-prod": ConfiguredPrice(0, 0)})
    assert cost(table, "openai", None, ("team-chat-prod", "gpt-4o-mini"), USAGE) == Cost(0, "config")


@pytest.mark.parametrize(
    ("model", "bare"),
    [
        ("gpt-4o-mini", "gpt-4o-mini"),
        ("google/gemini-2.5-flash", "gemini-2.5-flash"),
        ("models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("publishers/google/models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5-20251001"),
        ("anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku-20240307"),
        ("moonshotai.kimi-k2.5", "kimi-k2.5"),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/eu.amazon.nova-lite-v1:0", "nova-lite"),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc123", "abc123"),
        ("gpt-4.1", "gpt-4.1"),
        ("a/", "a/"),
    ],
)
def test_what_names_the_vendor_is_taken_off(model: str, bare: str) -> None:
    assert without_vendor_prefix(model) == bare


CLAUDE = "claude-haiku-4-5-20251001"
AT_BEDROCK = f"anthropic.{CLAUDE}-v1:0"
ARN = "arn:aws:bedrock:us-east-1:123456789012:"


def named(answered: str | None, requested: str | None) -> tuple[str, ...]:
    return by_price_region(tuple(name for name in (answered, requested) if name))


@pytest.mark.parametrize(
    ("answered", "requested", "first"),
    [
        (CLAUDE, f"global.{AT_BEDROCK}", f"global.{AT_BEDROCK}"),
        (CLAUDE, f"{ARN}application-inference-profile/abc123", f"{ARN}application-inference-profile/abc123"),
        (
            f"{ARN}inference-profile/us.{AT_BEDROCK}",
            f"{ARN}prompt/x",
            f"{ARN}inference-profile/us.{AT_BEDROCK}",
        ),
        (None, AT_BEDROCK, AT_BEDROCK),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini", "gpt-4o-mini-2024-07-18"),
        ("meta-llama/llama-3.1-8b", "openrouter/auto", "meta-llama/llama-3.1-8b"),
        (CLAUDE, "anthropic/claude-haiku-4.5", CLAUDE),
        (CLAUDE, "x" * 600, CLAUDE),
        (CLAUDE, None, CLAUDE),
    ],
)
def test_the_name_that_says_the_region_tells_the_price_first(
    answered: str | None, requested: str | None, first: str
) -> None:
    assert named(answered, requested)[0] == first


@pytest.mark.parametrize(
    ("model", "dollars"),
    [
        (AT_BEDROCK, 1.65),
        (f"us.{AT_BEDROCK}", 1.65),
        (f"ca.{AT_BEDROCK}", 1.65),
        (f"global.{AT_BEDROCK}", 1.5),
        (f"{ARN}inference-profile/us.{AT_BEDROCK}", 1.65),
        (f"{ARN}inference-profile/global.{AT_BEDROCK}", 1.5),
        (f"arn:aws:bedrock:us-east-1::foundation-model/{AT_BEDROCK}", 1.65),
        ("us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0", 4.95),
        ("amazon.nova-lite-v1:0:300k", 0.084),
        ("us.meta.llama3-3-70b-instruct-v1:0", 0.792),
        ("openai.gpt-oss-120b-1:0", 0.21),
        (f"{ARN}application-inference-profile/abc123", None),
        (f"{ARN}provisioned-model/abc123", None),
        (f"{ARN}imported-model/abc123", None),
        (f"{ARN}default-prompt-router/anthropic.claude:1", None),
        (f"{ARN}prompt/PROMPT12345:1", None),
        ("stability.sd3-5-large-v1:0", None),
    ],
)
def test_a_model_of_bedrocks_costs_what_its_region_does(model: str, dollars: float | None) -> None:
    found = cost(PriceTable({}), "aws", None, model, USAGE)
    assert (found and found.nanousd) == (dollars and round(dollars * 10**9))


def test_a_configured_price_holds_for_an_arn() -> None:
    profile = f"{ARN}application-inference-profile/abc123"
    table = PriceTable({profile: ConfiguredPrice(input=1, output=2)})
    assert cost(table, "aws", None, named(CLAUDE, profile), USAGE) == Cost(1_200_000_000, "config")


def test_a_name_that_is_priced_as_it_stands_keeps_its_own_price() -> None:
    own = cost(PriceTable({}), "groq", None, "openai/gpt-oss-120b", USAGE)
    table = PriceTable({"gpt-oss-120b": ConfiguredPrice(1000, 1000)})
    assert own is not None
    assert cost(table, "groq", None, "openai/gpt-oss-120b", USAGE) == own


def test_what_other_models_did_for_an_answer_is_charged_at_their_own_prices() -> None:
    advised = Usage(prompt_tokens=6300, completion_tokens=780)
    advisor = Charge("claude-opus-4-7", Usage(prompt_tokens=6000, completion_tokens=700))
    found = cost(PriceTable({}), "anthropic", None, "claude-sonnet-4-6", advised, Billing(others=(advisor,)))
    assert found is not None
    assert found.nanousd == 2_100_000 + 47_500_000
    unknown = Charge("unheard-of", Usage(prompt_tokens=6000, completion_tokens=700))
    billing = Billing(others=(unknown,))
    assert cost(PriceTable({}), "anthropic", None, "claude-sonnet-4-6", advised, billing) is None
