"""Prices of the `genai-prices` library, from the data that comes with it; no other file knows the library.

Source: https://github.com/pydantic/genai-prices. Its own calculation takes some 70 µs a call; prices without
tiers are therefore asked for once per token and multiplied here, to the same result.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import genai_prices
from genai_prices.data import providers
from genai_prices.data_snapshot import find_provider_by_id
from genai_prices.data_units import unit_data
from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices

from gateway.domain.clock import datetime_of
from gateway.domain.request import NANO, Charge, Usage
from gateway.wire.token_rates import NANOUSD_PER_TOKEN, TokenRates

VERSION = f"genai-prices {genai_prices.__version__}"

_MILLION = 1_000_000
_END_OF_TIME_US = 253_402_300_800_000_000
"""The year 10000, in microseconds since the epoch; the calendar ends before it."""

_BEDROCK_HOST = re.compile(
    r"https://(?:[\w-]+\.)?bedrock-(?:runtime|runtime-fips|mantle)\.[\w-]+\.(?:vpce\.)?(?:amazonaws\.com(?:\.cn)?|api\.aws)(?:[:/]|$)"
)
"""Those of Bedrock's hosts too that the library does not know."""
_BATCH = ("processing", "batch")
"""A term that halves most prices. Of a model for which the library does not know it, a price would be far off."""


@dataclass(frozen=True, slots=True)
class FlatPrices:
    """Prices without tiers.

    Args:
        prices: as the library has them.
        rates: the same by the token.
        keys: what the prices are for.
    """

    prices: ModelPrice
    rates: TokenRates
    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class LibraryTariff:
    """What the library says about one model of one provider, at any time.

    Args:
        flat: those of the model's prices that have no tiers.
        always: the model's only prices, where they have no tiers.
        terms: what the model's prices depend on beside the time, by name.
    """

    provider: Provider
    model: ModelInfo
    flat: tuple[FlatPrices, ...]
    always: FlatPrices | None
    terms: frozenset[tuple[str, str]]
    version: str = VERSION

    def price(self, charge: Charge, at_us: int) -> Decimal | None:
        """Return nano-dollars for a charge at a time; None if the library cannot make sense of it."""
        is_plain = not charge.units and not charge.terms
        always = self.always if is_plain and 0 <= at_us < _END_OF_TIME_US else None
        # Most prices are of this kind, and need no look at the calendar.
        if always and _is_priced(always.keys, charge) and (nanousd := always.rates.price(charge.usage)):
            return nanousd
        try:
            at = datetime_of(at_us)
            current = self.model.get_prices(at)
            if is_plain:
                flat = next((one for one in self.flat if one.prices is current), None)
                if flat is not None and not _is_priced(flat.keys, charge):
                    return None
                if flat is not None and (nanousd := flat.rates.price(charge.usage)) is not None:
                    return nanousd
            terms = {name: term for name, term in charge.terms.items() if (name, term) in self.terms}
            is_unknown_batch = _BATCH in charge.terms.items() and _BATCH not in self.terms
            if is_unknown_batch or not _is_priced(_keys_of(current), charge):
                return None
            return self._calculate(_to_library(charge), at, terms)
        except (ValueError, ArithmeticError):
            return None

    def _calculate(self, usage: genai_prices.Usage, at: datetime, terms: Mapping[str, str]) -> Decimal:
        calculated = self.model.calc_price(
            usage, self.provider, genai_request_timestamp=at, price_context=terms or None
        )
        return calculated.total_price * NANO


def find_tariff(
    model: str, name: str, base_url: str | None = None, library_name: str | None = None
) -> LibraryTariff | None:
    """Return the prices of a model at one provider; None if the library does not know the two together.

    The provider is found by `library_name`, else by `base_url`, which says more than the `name` it goes by
    here, else by that name; where none of them is known, it is the one that makes models of such a name.
    """
    provider = (
        (_provider_called(library_name) if library_name else None)
        or (_provider_at(base_url) if base_url else None)
        or _provider_called(name)
        or _maker_of(model)
    )
    found = provider and provider.find_model(model, all_providers=providers)
    if not provider or not found:
        return None
    prices = (
        [found.prices] if isinstance(found.prices, ModelPrice) else [each.prices for each in found.prices]
    )
    flat = tuple(
        FlatPrices(each, rates, _keys_of(each)) for each in prices if (rates := _flat_rates(each)) is not None
    )
    terms = frozenset(term for variant in found.price_variants or () for term in variant.when.items())
    always = flat[0] if flat and found.prices is flat[0].prices else None
    return LibraryTariff(provider, found, flat, always, terms)


def _provider_called(name: str) -> Provider | None:
    return find_provider_by_id(providers, name)


def _provider_at(base_url: str) -> Provider | None:
    known = next((provider for provider in providers if re.match(provider.api_pattern, base_url)), None)
    return known or (_provider_called("aws") if _BEDROCK_HOST.match(base_url) else None)


def _maker_of(model: str) -> Provider | None:
    name = model.lower()
    return next((each for each in providers if each.model_match and each.model_match.is_match(name)), None)


def _flat_rates(prices: ModelPrice) -> TokenRates | None:
    if any(isinstance(price, TieredPrices) for price in vars(prices).values()):
        return None
    request = prices.calc_price(_to_library(Charge()))["total_price"]

    def per_token(usage: Usage) -> Decimal:
        return (
            prices.calc_price(_to_library(Charge(usage=usage)))["total_price"] - request
        ) * NANOUSD_PER_TOKEN

    return TokenRates(
        fresh=per_token(Usage(prompt_tokens=_MILLION)),
        cached=per_token(Usage(prompt_tokens=_MILLION, cached_tokens=_MILLION)),
        cache_write=per_token(Usage(prompt_tokens=_MILLION, cache_write_tokens=_MILLION)),
        completion=per_token(Usage(completion_tokens=_MILLION)),
        reasoning=per_token(Usage(completion_tokens=_MILLION, reasoning_tokens=_MILLION)),
        request=request * NANO,
    )


def _keys_of(prices: ModelPrice) -> frozenset[str]:
    """What a model has prices for."""
    return frozenset(
        name for name, price in vars(prices).items() if price is not None and not name.startswith("_")
    )


def _is_priced(keys: frozenset[str], charge: Charge) -> bool:
    """Whether there is a price for anything that is counted; else it would seem to cost nothing. A model without
    any price is free."""
    usage = charge.usage
    if not keys or (usage.prompt_tokens is not None and "input_mtok" in keys):
        return True
    counted = {unit_data[name]["price_key"] for name in charge.units if name in unit_data}
    counted |= {"input_mtok"} if usage.prompt_tokens is not None else set()
    counted |= {"output_mtok"} if usage.completion_tokens is not None else set()
    return not counted or not counted.isdisjoint(keys)


def _to_library(charge: Charge) -> genai_prices.Usage:
    usage = charge.usage
    return genai_prices.Usage(
        input_tokens=usage.prompt_tokens,
        cache_read_tokens=usage.cached_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_tokens=usage.completion_tokens,
        output_reasoning_tokens=usage.reasoning_tokens,
        **charge.units,
    )
