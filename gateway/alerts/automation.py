"""AutomationServices: everything that APIs and pages need for alerts, webhooks and rules."""

from dataclasses import dataclass

from gateway.alerts.definition import AlertService
from gateway.alerts.rules import RuleService
from gateway.alerts.webhooks import WebhookService


@dataclass(frozen=True, slots=True)
class AutomationServices:
    """What happens by itself, and how it is declared."""

    alerts: AlertService
    webhooks: WebhookService
    rules: RuleService
