"""What the tokens of a request cost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import Protocol

from gateway.domain.request import Cost, Usage
from gateway.wire.fields import MAX_TEXT
from gateway.wire.price_library import find_tariff
from gateway.wire.token_rates import NANOUSD_PER_TOKEN, TokenRates

CONFIG_VERSION = "config"
"""Price version of a cost by a price from the configuration."""

_MAX_NANOUSD = 2**63 - 1
_MAX_TARIFFS = 2048
_DATE = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8})$")


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

    def price(self, usage: Usage, at_us: int) -> Decimal | None: ...


@dataclass(frozen=True, slots=True)
class _ConfiguredTariff:
    rates: TokenRates
    version: str = CONFIG_VERSION

    def price(self, usage: Usage, at_us: int) -> Decimal | None:
        return self.rates.price(usage)


class PriceTable:
    """Prices of models: those of the configuration over those of the price library.

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

    def cost(self, provider: str, base_url: str | None, model: str, usage: Usage, at_us: int) -> Cost | None:
        """Return what `usage` cost at a time, rounded to whole nano-dollars.

        None if nothing was counted, the counts contradict each other, or no price of the model is known.

        Args:
            provider: its configured name.
            base_url: its configured base URL.
            model: as the provider calls it.
            usage: tokens; a missing count costs nothing.
            at_us: microseconds since the epoch; prices change.
        """
        if usage.prompt_tokens is None and usage.completion_tokens is None:
            return None
        tariff = self._tariff_of(provider, base_url, model) if len(model) <= MAX_TEXT else None
        nanousd = tariff.price(usage, at_us) if tariff else None
        if tariff is None or nanousd is None or nanousd > _MAX_NANOUSD:
            return None
        return Cost(int(nanousd.to_integral_value(ROUND_HALF_EVEN)), tariff.version)

    def _find_tariff(self, provider: str, base_url: str | None, model: str) -> _Tariff | None:
        undated = _DATE.sub("", model)
        for key in (f"{provider}/{model}", model, f"{provider}/{undated}", undated):
            if key in self._configured:
                return self._configured[key]
        return find_tariff(model, provider, base_url, self._prices_as.get(provider))


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
