from __future__ import annotations

import genai_prices
import pytest

from gateway.domain.request import NOTHING_STATED, Billing, Charge, Cost, Usage
from gateway.wire.prices import PriceTable, Rate, Seller, without_vendor

AT_US = 1_753_000_000_000_000
USAGE = Usage(prompt_tokens=1_000_000, completion_tokens=100_000)


def cost(
    table: PriceTable,
    provider: str,
    base_url: str | None,
    model: str | tuple[str, ...],
    usage: Usage,
    billing: Billing = NOTHING_STATED,
) -> Cost | None:
    models = (model,) if isinstance(model, str) else model
    return table.cost(Seller(provider, base_url), models, usage, billing, AT_US)


def test_a_known_model_costs_what_the_library_says_and_names_its_version() -> None:
    found = cost(PriceTable({}), "openai", None, "gpt-4o-mini-2024-07-18", USAGE)
    assert found == Cost(150_000_000 + 60_000_000, f"genai-prices {genai_prices.__version__}")


def test_a_configured_price_takes_the_place_of_the_librarys() -> None:
    table = PriceTable({"gpt-4o-mini": Rate(input=1, output=2)})
    assert cost(table, "openai", None, "gpt-4o-mini", USAGE) == Cost(1_200_000_000, "config")


def test_a_price_for_one_providers_model_goes_before_one_for_the_model_anywhere() -> None:
    table = PriceTable({"m": Rate(1, 1), "cheap/m": Rate(0, 0)})
    assert cost(table, "cheap", None, "m", USAGE) == Cost(0, "config")
    assert cost(table, "dear", None, "m", USAGE) == Cost(1_100_000_000, "config")


def test_a_configured_price_holds_for_dated_snapshots_without_a_price_of_their_own() -> None:
    table = PriceTable({"gpt-x": Rate(1, 0), "gpt-x-2026-01-02": Rate(2, 0), "us/claude-y": Rate(3, 0)})
    assert cost(table, "p", None, "gpt-x-2025-12-31", USAGE) == Cost(1_000_000_000, "config")
    assert cost(table, "p", None, "gpt-x-2026-01-02", USAGE) == Cost(2_000_000_000, "config")
    assert cost(table, "us", None, "claude-y-20250929", USAGE) == Cost(3_000_000_000, "config")
    assert cost(table, "p", None, "gpt-x-mini", USAGE) is None


def test_cached_and_written_tokens_cost_as_input_unless_they_have_a_price() -> None:
    usage = Usage(prompt_tokens=1_000_000, cached_tokens=400_000, cache_write_tokens=200_000)
    plain, priced = Rate(input=10, output=0), Rate(input=10, output=0, cached=1, cache_write=12.5)
    assert cost(PriceTable({"m": plain}), "p", None, "m", usage) == Cost(10_000_000_000, "config")
    assert cost(PriceTable({"m": priced}), "p", None, "m", usage) == Cost(6_900_000_000, "config")


def test_a_price_is_meant_as_it_is_written_not_as_its_nearest_binary_fraction() -> None:
    usage = Usage(prompt_tokens=1_000_000_000_000)
    assert cost(PriceTable({"m": Rate(0.1, 0)}), "p", None, "m", usage) == Cost(10**14, "config")


def test_a_fraction_of_a_nano_dollar_is_rounded_to_the_even_one() -> None:
    table = PriceTable({"m": Rate(input=0.0005, output=0)})
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
    assert cost(PriceTable({"m": Rate(1, 1)}), "p", None, "m", Usage()) is None


def test_one_missing_count_costs_nothing() -> None:
    table = PriceTable({"m": Rate(1, 2)})
    assert cost(table, "p", None, "m", Usage(prompt_tokens=1_000_000)) == Cost(10**9, "config")
    assert cost(table, "p", None, "m", Usage(completion_tokens=1_000_000)) == Cost(2 * 10**9, "config")


def test_counts_that_contradict_each_other_have_no_cost() -> None:
    usage = Usage(prompt_tokens=1, cached_tokens=2)
    assert cost(PriceTable({"m": Rate(1, 1)}), "p", None, "m", usage) is None
    assert cost(PriceTable({}), "openai", None, "gpt-4o-mini", usage) is None


def test_a_cost_that_no_database_could_hold_is_none() -> None:
    table = PriceTable({"m": Rate(1e12, 0)})
    assert cost(table, "p", None, "m", Usage(prompt_tokens=10**12)) is None


def test_a_cost_that_the_provider_states_goes_before_the_librarys_and_after_the_configurations() -> None:
    stated = Billing(stated_nanousd=7)
    assert cost(PriceTable({}), "openai", None, "gpt-4o-mini", USAGE, stated) == Cost(7, "provider")
    assert cost(PriceTable({}), "mine", None, "unheard-of", Usage(), stated) == Cost(7, "provider")
    table = PriceTable({"gpt-4o-mini": Rate(1, 1)})
    assert cost(table, "openai", None, "gpt-4o-mini", USAGE, stated) == Cost(1_100_000_000, "config")


def test_the_first_name_that_has_a_price_is_taken() -> None:
    known = cost(PriceTable({}), "openai", None, "gpt-4o-mini", USAGE)
    assert cost(PriceTable({}), "openai", None, ("team-chat-prod", "gpt-4o-mini"), USAGE) == known
    assert cost(PriceTable({}), "openai", None, ("ft:gpt-4.1-mini-2025-04-14:acme::1",), USAGE) is None
    table = PriceTable({"team-chat-prod": Rate(0, 0)})
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
        ("gpt-4.1", "gpt-4.1"),
        ("a/", "a/"),
    ],
)
def test_what_names_the_vendor_is_taken_off(model: str, bare: str) -> None:
    assert without_vendor(model) == bare


def test_a_name_that_is_priced_as_it_stands_keeps_its_own_price() -> None:
    own = cost(PriceTable({}), "groq", None, "openai/gpt-oss-120b", USAGE)
    table = PriceTable({"gpt-oss-120b": Rate(1000, 1000)})
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
