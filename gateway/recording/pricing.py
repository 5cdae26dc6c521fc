"""What an exchange cost, once it is known who answered and with how many tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway.domain.exchange import Exchange, stated_model
from gateway.domain.request import Facts
from gateway.wire.prices import PriceTable, Seller


@dataclass(frozen=True, slots=True)
class Pricing:
    """Puts prices on facts.

    Args:
        prices: what tokens cost.
        base_url_of: base URL of a provider by its name, by which the price library may know it.
    """

    prices: PriceTable
    base_url_of: Callable[[str], str | None]

    def priced(self, exchange: Exchange, facts: Facts) -> Facts:
        """Return the facts with the cost that follows from them; without one where there is no price."""
        stated = stated_model(exchange.identity.metadata)
        names = tuple([name for name in (stated, facts.model, facts.requested_model) if name])
        if not names and facts.billing.stated_nanousd is None:
            return facts
        seller = Seller(exchange.provider, self.base_url_of(exchange.provider))
        cost = self.prices.cost(seller, names, facts.usage, facts.billing, exchange.started_at_us)
        return facts if cost is None else replace(facts, cost=cost)
