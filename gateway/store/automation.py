"""What a store does for alerts, webhooks and rules; `gateway.store.base` has the rest."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from gateway.models.alerts import AlertCheck, AlertEvent, AlertRule, AlertState
from gateway.models.feedback import Feedback
from gateway.models.filters import Filter, Page, Sort
from gateway.models.request import RequestRecord
from gateway.models.rules import Rule, RuleCursor, RuleMatch
from gateway.models.webhooks import Attempt, Delivery, Event, EventType, Webhook


class Alerts(Protocol):
    """Rules of alerts, their checks and what they said."""

    async def put_alert(self, rule: AlertRule) -> None:
        """Store a version of a rule, synced. Raises Conflict where its name is taken or a version is missing."""

    async def delete_alert(self, alert_id: str) -> bool:
        """Delete a rule with its states; tell whether it was there."""

    async def claim_alert_check(self, alert_id: str, at_us: int, until_us: int) -> AlertCheck | None:
        """Take the turn to look at a rule until a time; None where none is due or another process has it."""

    async def finish_alert_check(
        self, check: AlertCheck, states: Sequence[AlertState] | None, events: Sequence[AlertEvent]
    ) -> list[AlertEvent] | None:
        """Store what a look found, and return the events with their `seq`s; None where the turn was lost."""

    async def alert_events_after(self, seq: int, limit: int) -> list[AlertEvent]:
        """Return events of alerts after a `seq`, in order."""

    async def copy_alert_history(self, states: Sequence[AlertState], events: Sequence[AlertEvent]) -> None:
        """Store states and events that are missing."""


class Webhooks(Protocol):
    """Endpoints that are notified, and deliveries to them. Raises NotFound for an unknown id."""

    async def webhooks(self, tenant: str | None) -> list[Webhook]: ...

    async def webhook(self, webhook_id: str, tenant: str | None) -> Webhook: ...

    async def busy_webhooks(self, at_us: int) -> list[Webhook]:
        """Return the endpoints that have something to do and that no process serves."""

    async def put_webhook(self, webhook: Webhook) -> Webhook:
        """Store a new endpoint, which gets what happens from now on. Raises Conflict where its name is taken."""

    async def change_webhook(
        self, webhook_id: str, tenant: str | None, change: Callable[[Webhook], Webhook]
    ) -> Webhook:
        """Store an endpoint as changed; what it newly subscribes to begins now. Raises Conflict."""

    async def remove_webhook(self, webhook_id: str, tenant: str | None) -> None:
        """Delete an endpoint with its deliveries."""

    async def lease_webhook(self, webhook_id: str, owner: str, at_us: int, until_us: int) -> bool:
        """Take or extend the right to serve an enabled endpoint; tell whether the caller has it."""

    async def release_webhook(self, webhook_id: str, owner: str) -> None: ...

    async def queue_feedback(
        self, webhook_id: str, limit: int, render: Callable[[EventType, Feedback], str]
    ) -> int:
        """Make deliveries of the next changes of feedback; return how many changes were looked at."""

    async def settled_requests(self, after: int, limit: int, at_us: int) -> int:
        """Return the `seq` up to which no row can appear any more and facts are read, or late."""

    async def read_requests(self, where: Filter, limit: int, tenant: str | None) -> list[RequestRecord]:
        """Return matching rows in order, from the database itself, without a time limit."""

    async def queue_requests(
        self, webhook_id: str, deliveries: Mapping[tuple[int, str], Delivery], position: int
    ) -> None:
        """Add deliveries of requests, by `seq` and `request_id`, that are still stored; go on behind `position`."""

    async def waiting_deliveries(self, webhook_id: str) -> int: ...

    async def due_deliveries(self, webhook_id: str, at_us: int, limit: int) -> list[Delivery]: ...

    async def record_attempts(self, webhook_id: str, attempts: Sequence[Attempt], jitter: float) -> Webhook:
        """Store what attempts mean for an endpoint and its deliveries."""

    async def find_deliveries(
        self, where: Filter, sort: Sort, page: Page, tenant: str | None
    ) -> list[Delivery]: ...

    async def add_delivery(self, delivery: Delivery) -> None: ...

    async def add_event(self, event: Event) -> None:
        """Make deliveries of an event to all endpoints that subscribe to it."""

    async def resend_delivery(self, delivery_id: str, tenant: str | None, at_us: int) -> Delivery:
        """Let a message wait again, under its id. Raises Conflict where its body is gone."""

    async def expire_deliveries(self, before_us: int) -> None:
        """Delete deliveries from before a time that do not wait."""


class Rules(Protocol):
    """Rules and what they matched. Raises NotFound for an unknown id."""

    async def rules(self, tenant: str | None) -> list[Rule]: ...

    async def rule(self, rule_id: str, tenant: str | None) -> Rule: ...

    async def busy_rules(self) -> list[Rule]:
        """Return the enabled rules that have something to go through."""

    async def count_matches(self) -> dict[str, int]:
        """Return how many requests rules matched, by their ids."""

    async def put_rule(self, rule: Rule) -> Rule:
        """Store a new rule, which acts on what comes from now on. Raises Conflict where its name is taken."""

    async def change_rule(self, rule_id: str, tenant: str | None, change: Callable[[Rule], Rule]) -> Rule:
        """Store a rule as changed; one that is enabled again begins now. Raises Conflict."""

    async def remove_rule(self, rule_id: str, tenant: str | None) -> None:
        """Delete a rule; what it did stays, but for deletions that are still to come."""

    async def changed_requests(self, after: int, limit: int) -> tuple[int, list[int]]:
        """Return how far the next changes of feedback go, and the `seq`s of the requests that they count for."""

    async def apply_rule(
        self, rule: Rule, cursor: RuleCursor, position: int, matches: Sequence[RuleMatch], at_us: int
    ) -> bool:
        """Act on requests and move the cursor, in one step, unless another process did meanwhile."""
