"""What the tokens of a request cost."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import Protocol

from gateway.domain.request import Billing, Charge, Cost, Usage
from gateway.domain.value import value
from gateway.wire.fields import MAX_TEXT
from gateway.wire.price_library import find_tariff
from gateway.wire.token_rates import NANOUSD_PER_TOKEN, TokenRates

CONFIG_VERSION = "config"
"""Price version of a cost by a price from the configuration."""

PROVIDER_VERSION = "provider"
"""Price version of a cost that the provider stated."""

_MAX_NANOUSD = 2**63 - 1
_MAX_TARIFFS = 2048
_DATE = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8})$")
_BEDROCK_NAME = re.compile(
    r"^(?:[a-z]{2,6}(?:-[a-z]+)?\.)?"
    r"(?:ai21|amazon|anthropic|cohere|deepseek|google|meta|minimax|mistral|moonshot|nvidia|openai|qwen|writer|zai)"
    r"\.(.+?)(?:-v\d+(?::\d+)?)?$"
)


@dataclass(frozen=True, slots=True)
class Rate:
    """A model's price in US dollars a million tokens.

    Cached and cache-write tokens cost as much as `input` unless given.
    """

    input: float
    output: float
    cached: float | None = None
    cache_write: float | None = None


class _Tariff(Protocol):
    @property
    def version(self) -> str: ...

    def price(self, charge: Charge, at_us: int) -> Decimal | None: ...


@dataclass(frozen=True, slots=True)
class _ConfiguredTariff:
    rates: TokenRates
    version: str = CONFIG_VERSION

    def price(self, charge: Charge, at_us: int) -> Decimal | None:
        return self.rates.price(charge.usage)


@value()
class Seller:
    """Whose prices hold: a provider by its configured name and base URL."""

    name: str
    base_url: str | None = None


class PriceTable:
    """Prices of models: those of the configuration over what providers state over those of the price library.

    Args:
        overrides: prices by `provider/model` or `model`; the first of these wins. Either also prices dated
            snapshots (`gpt-4o-mini` prices `gpt-4o-mini-2024-07-18`) that have no price of their own.
        prices_as: names under which the library knows providers, by their configured names.
    """

    def __init__(self, overrides: Mapping[str, Rate], prices_as: Mapping[str, str] | None = None) -> None:
        self._configured = {key: _ConfiguredTariff(_to_token_rates(rate)) for key, rate in overrides.items()}
        self._prices_as = dict(prices_as or {})
        # Model names come from callers and providers; the bound keeps strangers from filling the memory.
        self._tariff_of = lru_cache(_MAX_TARIFFS)(self._find_tariff)

    def cost(
        self, seller: Seller, models: tuple[str, ...], usage: Usage, billing: Billing, at_us: int
    ) -> Cost | None:
        """Return what a request cost, rounded to whole nano-dollars.

        None if nothing was counted, the counts contradict each other, or a price is not known.

        Args:
            models: what the model is called, the best name first; the first that has a price is taken.
            usage: tokens; a missing count costs nothing.
            billing: what else the answer says of its price.
            at_us: microseconds since the epoch; prices change.
        """
        tariff = self._tariff_of(seller.name, seller.base_url, models)
        if billing.stated_nanousd is not None and not isinstance(tariff, _ConfiguredTariff):
            return Cost(billing.stated_nanousd, PROVIDER_VERSION)
        if tariff is None or not _is_counted(usage, billing):
            return None
        nanousd = self._sum(seller, tariff, usage, billing, at_us)
        if nanousd is None or nanousd > _MAX_NANOUSD:
            return None
        return Cost(int(nanousd.to_integral_value(ROUND_HALF_EVEN)), tariff.version)

    def _sum(
        self, seller: Seller, tariff: _Tariff, usage: Usage, billing: Billing, at_us: int
    ) -> Decimal | None:
        if not billing.others:
            return tariff.price(Charge(None, usage, billing.units, billing.terms), at_us)
        own = without(usage, [charge.usage for charge in billing.others])
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
        for model in models:
            if found := self._tariff_named(provider, base_url, model):
                return found
        return None

    def _tariff_named(self, provider: str, base_url: str | None, model: str) -> _Tariff | None:
        """The price of a name as it stands, else of the name without its vendor's prefix."""
        if len(model) > MAX_TEXT:
            return None
        for name in dict.fromkeys((model, without_vendor(model))):
            undated = _DATE.sub("", name)
            for key in (f"{provider}/{name}", name, f"{provider}/{undated}", undated):
                if key in self._configured:
                    return self._configured[key]
            if found := find_tariff(name, provider, base_url, self._prices_as.get(provider)):
                return found
        return None


def without_vendor(model: str) -> str:
    """Return a model's name without what names its vendor or region: `google/gemini-2.5-flash`,
    `models/gemini-2.5-flash`, `us.anthropic.claude-haiku-4-5-20251001-v1:0`."""
    name = model.rpartition("/")[2]
    bedrock = _BEDROCK_NAME.match(name)
    return bedrock[1] if bedrock else name or model


def without(usage: Usage, parts: Sequence[Usage]) -> Usage:
    """Return what is left of `usage` where `parts` of it are taken away."""
    counts = {
        field.name: None if count is None else count - sum(getattr(part, field.name) or 0 for part in parts)
        for field in fields(usage)
        for count in [getattr(usage, field.name)]
    }
    return Usage(**counts)


def _is_counted(usage: Usage, billing: Billing) -> bool:
    return usage.prompt_tokens is not None or usage.completion_tokens is not None or bool(billing.units)


def _to_token_rates(rate: Rate) -> TokenRates:
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
    return Decimal(repr(dollars_per_million)) * NANOUSD_PER_TOKEN
