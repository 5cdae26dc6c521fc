"""What an exchange cost, once it is known who answered and with how many tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway.domain.exchange import Exchange, stated_model
from gateway.domain.request import Billing, Cost, Facts, Usage
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

    def cost(
        self, exchange: Exchange, models: tuple[str | None, ...], usage: Usage, billing: Billing
    ) -> Cost | None:
        """Return what an exchange cost; None where there is no price.

        Args:
            models: what the model is called, the best name first; one that the metadata states goes before.
        """
        stated = stated_model(exchange.identity.metadata)
        names = tuple([name for name in (stated, *models) if name])
        if not names and billing.stated_nanousd is None:
            return None
        seller = Seller(exchange.provider, self.base_url_of(exchange.provider))
        return self.prices.cost(seller, names, usage, billing, exchange.started_at_us)

    def priced(self, exchange: Exchange, facts: Facts) -> Facts:
        """Return the facts with the cost that follows from them; without one where there is no price."""
        cost = self.cost(exchange, (facts.model, facts.requested_model), facts.usage, facts.billing)
        return facts if cost is None else replace(facts, cost=cost)
