"""Prices: configured, stated by the provider, or from the genai-prices library."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import Protocol

import genai_prices
from genai_prices.data import providers
from genai_prices.data_snapshot import find_provider_by_id
from genai_prices.data_units import unit_data
from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices

from gateway.models.clock import to_datetime
from gateway.models.exchange import value_class
from gateway.models.request import NANOUSD_PER_USD, Billing, Charge, Cost, Usage
from gateway.wire.json_fields import MAX_TEXT

# For a price of one dollar a million tokens.
NANOUSD_PER_TOKEN_AT_1_USD = 1000


@dataclass(frozen=True, slots=True)
class TokenRates:
    """Nano-dollars a token, and for the request itself; fresh tokens are neither cached nor written to a cache."""

    # Exact: a token may cost a fraction of a nano-dollar.

    fresh: Decimal
    cached: Decimal
    cache_write: Decimal
    completion: Decimal
    reasoning: Decimal
    request: Decimal = Decimal(0)

    def price(self, usage: Usage) -> Decimal | None:
        """Return nano-dollars for `usage`; None if its parts are more than their whole."""
        cached, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
        reasoning = usage.reasoning_tokens or 0
        fresh = (usage.prompt_tokens or 0) - cached - written
        completion = (usage.completion_tokens or 0) - reasoning
        if fresh < 0 or completion < 0:
            return None
        nanousd = self.request + self.fresh * fresh + self.completion * completion
        # Most answers have none of these, and arithmetic of decimals is slow.
        if cached or written:
            nanousd += self.cached * cached + self.cache_write * written
        return nanousd + self.reasoning * reasoning if reasoning else nanousd


VERSION = f"genai-prices {genai_prices.__version__}"

_MILLION = 1_000_000
# The year 10000, in microseconds since the epoch; the calendar ends before it.
_END_OF_TIME_US = 253_402_300_800_000_000

# The library does not know all of them.
_BEDROCK_HOST = re.compile(
    r"https://(?:[\w-]+\.)?bedrock-(?:runtime|runtime-fips|mantle)\.[\w-]+\.(?:vpce\.)?(?:amazonaws\.com(?:\.cn)?|api\.aws)(?:[:/]|$)"
)
# Halves most prices: of a model for which the library does not know it, a price would be far off.
_BATCH_TERM = ("processing", "batch")


@dataclass(frozen=True, slots=True)
class FlatPrices:
    """Prices without tiers: as the library has them, by the token, and what they are for."""

    prices: ModelPrice
    rates: TokenRates
    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class LibraryTariff:
    """Prices of one model of one provider, at any time.

    Args:
        flat: the prices without tiers.
        always: the only prices, where they have no tiers.
        terms: what the prices depend on beside the time.
    """

    provider: Provider
    model: ModelInfo
    flat: tuple[FlatPrices, ...]
    always: FlatPrices | None
    terms: frozenset[tuple[str, str]]
    version: str = VERSION

    def price(self, charge: Charge, at_us: int) -> Decimal | None:
        """Return nano-dollars for a charge at a time; None where the library has no price for it."""
        is_plain = not charge.units and not charge.terms
        # Most prices never change, and need no look at the calendar.
        always = self.always if is_plain and 0 <= at_us < _END_OF_TIME_US else None
        if always and _is_priced(always.keys, charge) and (nanousd := always.rates.price(charge.usage)):
            return nanousd
        try:
            at = to_datetime(at_us)
            current = self.model.get_prices(at)
            if is_plain:
                flat = next((one for one in self.flat if one.prices is current), None)
                if flat is not None and not _is_priced(flat.keys, charge):
                    return None
                if flat is not None and (nanousd := flat.rates.price(charge.usage)) is not None:
                    return nanousd
            terms = {name: term for name, term in charge.terms.items() if (name, term) in self.terms}
            is_unknown_batch = _BATCH_TERM in charge.terms.items() and _BATCH_TERM not in self.terms
            if is_unknown_batch or not _is_priced(_priced_keys(current), charge):
                return None
            return self._calculate(_to_library(charge), at, terms)
        except (ValueError, ArithmeticError):
            return None

    def rates_at(self, at_us: int) -> TokenRates | None:
        """Return the prices by the token at a time; None where they have tiers."""
        try:
            current = self.model.get_prices(to_datetime(at_us))
        except (ValueError, OverflowError):
            return None
        return next((one.rates for one in self.flat if one.prices is current), None)

    def _calculate(self, usage: genai_prices.Usage, at: datetime, terms: Mapping[str, str]) -> Decimal:
        calculated = self.model.calc_price(
            usage, self.provider, genai_request_timestamp=at, price_context=terms or None
        )
        return calculated.total_price * NANOUSD_PER_USD


def find_tariff(
    model: str, name: str, base_url: str | None = None, library_name: str | None = None
) -> LibraryTariff | None:
    """Return the prices of a model at one provider; None if the library does not know the two together."""
    # A base URL says more than the configured name; where nothing is known, the maker of such models is taken.
    provider = (
        (_provider_called(library_name) if library_name else None)
        or (_provider_at(base_url) if base_url else None)
        or _provider_called(name)
        or _maker_of(model)
    )
    found = provider and provider.find_model(model, all_providers=providers)
    if not provider or not found:
        return None
    prices = [found.prices] if isinstance(found.prices, ModelPrice) else [one.prices for one in found.prices]
    rates = ((each, _flat_rates(each)) for each in prices)
    flat = tuple(FlatPrices(each, own, _priced_keys(each)) for each, own in rates if own is not None)
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
        total = prices.calc_price(_to_library(Charge(usage=usage)))["total_price"]
        return (total - request) * NANOUSD_PER_TOKEN_AT_1_USD

    return TokenRates(
        fresh=per_token(Usage(prompt_tokens=_MILLION)),
        cached=per_token(Usage(prompt_tokens=_MILLION, cached_tokens=_MILLION)),
        cache_write=per_token(Usage(prompt_tokens=_MILLION, cache_write_tokens=_MILLION)),
        completion=per_token(Usage(completion_tokens=_MILLION)),
        reasoning=per_token(Usage(completion_tokens=_MILLION, reasoning_tokens=_MILLION)),
        request=request * NANOUSD_PER_USD,
    )


def _priced_keys(prices: ModelPrice) -> frozenset[str]:
    return frozenset(
        name for name, price in vars(prices).items() if price is not None and not name.startswith("_")
    )


def _is_priced(keys: frozenset[str], charge: Charge) -> bool:
    # Without a price for anything counted it would seem to cost nothing; a model without any price is free.
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


# Price versions of costs by a configured price, and of those that a provider stated.
CONFIG_VERSION = "config"
PROVIDER_VERSION = "provider"

_MAX_NANOUSD = 2**63 - 1
_MAX_TARIFFS = 2048
_DATE_SUFFIX = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8})$")
_BEDROCK_NAME = re.compile(
    r"^(?:[a-z]{2,6}(?:-[a-z]+)?\.)?"
    r"(?:ai21|amazon|anthropic|cohere|deepseek|google|meta|minimax|mistral|moonshot(?:ai)?|nvidia|openai|qwen|writer|zai)"
    r"\.(.+?)(?:-v\d+(?::\d+)?)?$"
)


@dataclass(frozen=True, slots=True)
class ConfiguredPrice:
    """A model's price in US dollars a million tokens; those of the cache cost as much as `input` unless given."""

    input: float
    output: float
    cached: float | None = None
    cache_write: float | None = None


class _Tariff(Protocol):
    @property
    def version(self) -> str: ...

    def price(self, charge: Charge, at_us: int) -> Decimal | None: ...

    def rates_at(self, at_us: int) -> TokenRates | None: ...


@dataclass(frozen=True, slots=True)
class _ConfiguredTariff:
    rates: TokenRates
    version: str = CONFIG_VERSION

    def price(self, charge: Charge, at_us: int) -> Decimal | None:
        return self.rates.price(charge.usage)

    def rates_at(self, at_us: int) -> TokenRates | None:
        return self.rates


@value_class()
class PricedProvider:
    """A provider by its configured name and base URL."""

    name: str
    base_url: str | None = None


class PriceTable:
    """Prices of models: those configured, else what providers state, else those of the price library.

    Args:
        overrides: prices by `provider/model` or `model`, of dated snapshots too (`gpt-4o-mini-2024-07-18`).
        prices_as: names under which the library knows providers, by their configured names.
    """

    def __init__(
        self, overrides: Mapping[str, ConfiguredPrice], prices_as: Mapping[str, str] | None = None
    ) -> None:
        self._configured = {key: _ConfiguredTariff(_to_token_rates(rate)) for key, rate in overrides.items()}
        self._prices_as = dict(prices_as or {})
        # Model names come from callers and providers; the bound keeps them from filling the memory.
        self._tariff_of = lru_cache(_MAX_TARIFFS)(self._find_tariff)

    def cost(
        self, seller: PricedProvider, models: tuple[str, ...], usage: Usage, billing: Billing, at_us: int
    ) -> Cost | None:
        """Return what a request cost; None if nothing was counted, counts contradict, or a price is not known.

        Args:
            models: names of the model; the first that has a price is taken.
            at_us: microseconds since the epoch; prices change.
        """
        tariff = self._tariff_of(seller.name, seller.base_url, models)
        if billing.stated_nanousd is not None and not isinstance(tariff, _ConfiguredTariff):
            return Cost(billing.stated_nanousd, PROVIDER_VERSION)
        if tariff is None or not _has_counts(usage, billing):
            return None
        nanousd = self._sum(seller, tariff, usage, billing, at_us)
        if nanousd is None or nanousd > _MAX_NANOUSD:
            return None
        return Cost(int(nanousd.to_integral_value(ROUND_HALF_EVEN)), tariff.version)

    def token_rates(
        self, seller: PricedProvider, models: tuple[str, ...], at_us: int
    ) -> tuple[TokenRates, str] | None:
        """Return a model's prices by the token and their version; None where there are none or they have tiers."""
        tariff = self._tariff_of(seller.name, seller.base_url, models)
        rates = tariff.rates_at(at_us) if tariff else None
        return (rates, tariff.version) if tariff and rates else None

    def _sum(
        self, seller: PricedProvider, tariff: _Tariff, usage: Usage, billing: Billing, at_us: int
    ) -> Decimal | None:
        if not billing.others:
            return tariff.price(Charge(None, usage, billing.units, billing.terms), at_us)
        own = usage.without([charge.usage for charge in billing.others])
        nanousd = Decimal(0)
        for charge in (Charge(None, own, billing.units, billing.terms), *billing.others):
            names = (charge.model,) if charge.model else None
            prices = self._tariff_of(seller.name, seller.base_url, names) if names else tariff
            amount = prices.price(charge, at_us) if prices else None
            if amount is None:
                return None
            nanousd += amount
        return nanousd

    def _find_tariff(self, provider: str, base_url: str | None, models: tuple[str, ...]) -> _Tariff | None:
        for model in by_price_region(models):
            if found := self._find_by_name(provider, base_url, model):
                return found
        return None

    def _find_by_name(self, provider: str, base_url: str | None, model: str) -> _Tariff | None:
        if len(model) > MAX_TEXT:
            return None
        for name in dict.fromkeys((model, without_vendor_prefix(model))):
            undated = _DATE_SUFFIX.sub("", name)
            for key in (f"{provider}/{name}", name, f"{provider}/{undated}", undated):
                if key in self._configured:
                    return self._configured[key]
            if found := find_tariff(name, provider, base_url, self._prices_as.get(provider)):
                return found
        return None


def without_vendor_prefix(model: str) -> str:
    """Return a model's name without vendor and region, as in `us.anthropic.claude-haiku-4-5-20251001-v1:0`."""
    name = model.rpartition("/")[2]
    bedrock = _BEDROCK_NAME.match(name)
    return bedrock[1] if bedrock else name or model


def by_price_region(models: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of one model in the order in which they tell its price.

    Args:
        models: the last two are the model that answered and the one asked for.
    """
    # Bedrock's name holds the region, which has a price of its own; `claude-haiku-4-5` does not.
    return (*models[:-2], *sorted(models[-2:], key=lambda name: not _is_bedrock_name(name)))


def _is_bedrock_name(model: str) -> bool:
    if len(model) > MAX_TEXT:
        return False
    return model.startswith("arn:") or bool(_BEDROCK_NAME.match(model.rpartition("/")[2]))


def _has_counts(usage: Usage, billing: Billing) -> bool:
    return usage.prompt_tokens is not None or usage.completion_tokens is not None or bool(billing.units)


def _to_token_rates(rate: ConfiguredPrice) -> TokenRates:
    prompt, completion = _per_token(rate.input), _per_token(rate.output)
    return TokenRates(
        fresh=prompt,
        cached=prompt if rate.cached is None else _per_token(rate.cached),
        cache_write=prompt if rate.cache_write is None else _per_token(rate.cache_write),
        completion=completion,
        reasoning=completion,
    )


def _per_token(dollars_per_million: float) -> Decimal:
    # By way of its shortest decimal form: 0.15 is meant, not the nearest binary fraction.
    return Decimal(repr(dollars_per_million)) * NANOUSD_PER_TOKEN_AT_1_USD
