from __future__ import annotations

import genai_prices

from gateway.domain.request import Cost, Usage
from gateway.wire.prices import PriceTable, Rate

AT_US = 1_753_000_000_000_000
USAGE = Usage(prompt_tokens=1_000_000, completion_tokens=100_000)


def test_a_known_model_costs_what_the_library_says_and_names_its_version() -> None:
    cost = PriceTable({}).cost("openai", None, "gpt-4o-mini-2024-07-18", USAGE, AT_US)
    assert cost == Cost(150_000_000 + 60_000_000, f"genai-prices {genai_prices.__version__}")


def test_a_configured_price_takes_the_place_of_the_librarys() -> None:
    table = PriceTable({"gpt-4o-mini": Rate(input=1, output=2)})
    assert table.cost("openai", None, "gpt-4o-mini", USAGE, AT_US) == Cost(1_200_000_000, "config")


def test_a_price_for_one_providers_model_goes_before_one_for_the_model_anywhere() -> None:
    table = PriceTable({"m": Rate(1, 1), "cheap/m": Rate(0, 0)})
    assert table.cost("cheap", None, "m", USAGE, AT_US) == Cost(0, "config")
    assert table.cost("dear", None, "m", USAGE, AT_US) == Cost(1_100_000_000, "config")


def test_a_configured_price_holds_for_dated_snapshots_without_a_price_of_their_own() -> None:
    table = PriceTable({"gpt-x": Rate(1, 0), "gpt-x-2026-01-02": Rate(2, 0), "us/claude-y": Rate(3, 0)})
    assert table.cost("p", None, "gpt-x-2025-12-31", USAGE, AT_US) == Cost(1_000_000_000, "config")
    assert table.cost("p", None, "gpt-x-2026-01-02", USAGE, AT_US) == Cost(2_000_000_000, "config")
    assert table.cost("us", None, "claude-y-20250929", USAGE, AT_US) == Cost(3_000_000_000, "config")
    assert table.cost("p", None, "gpt-x-mini", USAGE, AT_US) is None


def test_cached_and_written_tokens_cost_as_input_unless_they_have_a_price() -> None:
    usage = Usage(prompt_tokens=1_000_000, cached_tokens=400_000, cache_write_tokens=200_000)
    plain, priced = Rate(input=10, output=0), Rate(input=10, output=0, cached=1, cache_write=12.5)
    assert PriceTable({"m": plain}).cost("p", None, "m", usage, AT_US) == Cost(10_000_000_000, "config")
    assert PriceTable({"m": priced}).cost("p", None, "m", usage, AT_US) == Cost(6_900_000_000, "config")


def test_a_price_is_meant_as_it_is_written_not_as_its_nearest_binary_fraction() -> None:
    usage = Usage(prompt_tokens=1_000_000_000_000)
    assert PriceTable({"m": Rate(0.1, 0)}).cost("p", None, "m", usage, AT_US) == Cost(10**14, "config")


def test_a_fraction_of_a_nano_dollar_is_rounded_to_the_even_one() -> None:
    table = PriceTable({"m": Rate(input=0.0005, output=0)})
    costs = [table.cost("p", None, "m", Usage(prompt_tokens=count), AT_US) for count in (1, 2, 3)]
    assert costs == [Cost(0, "config"), Cost(1, "config"), Cost(2, "config")]


def test_a_provider_is_priced_as_the_one_it_is_said_to_be() -> None:
    table = PriceTable({}, prices_as={"eu": "mistral"})
    assert table.cost("eu", None, "mistral-large-latest", USAGE, AT_US) == PriceTable({}).cost(
        "mistral", None, "mistral-large-latest", USAGE, AT_US
    )
    assert table.cost("eu", "https://api.openai.com/v1", "gpt-4o-mini", USAGE, AT_US) is None


def test_an_unknown_model_has_no_cost() -> None:
    assert PriceTable({}).cost("openai", "https://api.openai.com/v1", "my-own", USAGE, AT_US) is None
    assert PriceTable({}).cost("mine", None, "g" * 100_000, USAGE, AT_US) is None


def test_without_counted_tokens_there_is_no_cost() -> None:
    assert PriceTable({"m": Rate(1, 1)}).cost("p", None, "m", Usage(), AT_US) is None


def test_one_missing_count_costs_nothing() -> None:
    table = PriceTable({"m": Rate(1, 2)})
    assert table.cost("p", None, "m", Usage(prompt_tokens=1_000_000), AT_US) == Cost(10**9, "config")
    assert table.cost("p", None, "m", Usage(completion_tokens=1_000_000), AT_US) == Cost(2 * 10**9, "config")


def test_counts_that_contradict_each_other_have_no_cost() -> None:
    usage = Usage(prompt_tokens=1, cached_tokens=2)
    assert PriceTable({"m": Rate(1, 1)}).cost("p", None, "m", usage, AT_US) is None
    assert PriceTable({}).cost("openai", None, "gpt-4o-mini", usage, AT_US) is None


def test_a_cost_that_no_database_could_hold_is_none() -> None:
    table = PriceTable({"m": Rate(1e12, 0)})
    assert table.cost("p", None, "m", Usage(prompt_tokens=10**12), AT_US) is None
