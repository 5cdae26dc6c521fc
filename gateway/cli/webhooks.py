"""`gateway webhooks`: endpoints that are notified, and their messages."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import click

from gateway.alerts.destinations import Destinations
from gateway.alerts.webhooks import WebhookService, WebhookSettings
from gateway.cli.filters import filter_options, json_option, limit_option, pairs_by_name, parse_filter
from gateway.cli.options import OPERATOR, pass_config, pass_store_url, run_on_store
from gateway.cli.output import Column, Table, format_time, print_lines
from gateway.models.webhooks import SUBSCRIBABLE_EVENTS, TEXTS, Delivery, Webhook
from gateway.query.filters import DELIVERY_FILTERS

COLUMNS = (
    Column("ID", 39),
    Column("NAME", 8, min_width=8),
    Column("URL", 12, min_width=12),
    Column("STATE", 7, min_width=12),
)
DELIVERY_COLUMNS = (
    Column("MADE (UTC)", 19),
    Column("ID", 40),
    Column("TYPE", 16),
    Column("STATE", 9),
    Column("TRIES", 5),
    Column("LAST ANSWER", 8, min_width=8),
)

_events_option = click.option(
    "--event",
    "events",
    multiple=True,
    required=True,
    type=click.Choice([each.value for each in SUBSCRIBABLE_EVENTS]),
    help="Type of event; may be given several times.",
)


@click.group("webhooks")
def webhooks_command() -> None:
    """Make, list and change webhooks; list and resend messages.

    A running gateway sends them. The configuration file may declare others.
    """


@webhooks_command.command("create")
@click.argument("url")
@_events_option
@click.option("--name", help="For people.  [default: the URL]")
@click.option("--tenant", help="Restricts it to the events of a tenant.  [default: all]")
@click.option("--where", "where", metavar="NAME=VALUE", multiple=True, help="Condition for request.logged.")
@click.option("--texts", "has_texts", is_flag=True, help="Send questions, answers, comments and edits too.")
@pass_config
def create(
    url: str,
    events: tuple[str, ...],
    name: str | None,
    tenant: str | None,
    where: tuple[str, ...],
    has_texts: bool,
    config: Any,
) -> None:
    """Make a webhook that sends to URL, and print its secret. It cannot be shown again."""
    settings = WebhookSettings(
        name=name,
        url=url,
        events=events,
        filters=pairs_by_name(where),
        include=[TEXTS] if has_texts else [],
    )
    destinations = Destinations(config.webhooks.allow_internal)
    principal = replace(OPERATOR, tenant=tenant)
    made = run_on_store(
        config.storage.url,
        lambda store: WebhookService(store, lambda: destinations).create(settings, principal),
        "webhooks create",
        name,
    )
    click.echo(made.secret)
    click.echo(f"Made {made.webhook_id}. Keep its secret safe: it cannot be shown again.", err=True)


@webhooks_command.command("list")
@json_option
@pass_store_url
def list_(is_json: bool, url: str) -> None:
    """List webhooks by name, never their secrets.

    The same as GET /api/v1/webhooks.
    """
    webhooks = run_on_store(url, lambda store: store.webhooks(None))
    if is_json:
        from gateway.cli.serializers import webhook_lines

        print_lines(webhook_lines(webhooks))
    else:
        print_lines(Table(COLUMNS).lines(map(_webhook_cells, webhooks)))


def _change_command(name: str, summary: str) -> None:
    @webhooks_command.command(name, help=summary)
    @click.argument("webhook_id")
    @pass_store_url
    def change(webhook_id: str, url: str) -> None:
        shown = run_on_store(
            url,
            lambda store: _apply(WebhookService(store, Destinations), name, webhook_id),
            f"webhooks {name}",
            webhook_id,
        )
        if shown is not None:
            click.echo(shown)


async def _apply(service: WebhookService, name: str, webhook_id: str) -> str | None:
    if name == "rotate":
        return (await service.rotate(webhook_id, OPERATOR)).secret
    if name == "test":
        return (await service.test(webhook_id, OPERATOR)).delivery_id
    if name == "remove":
        await service.remove(webhook_id, OPERATOR)
    else:
        switch = WebhookSettings(is_enabled=name == "enable")
        await service.change(webhook_id, switch, OPERATOR)
    return None


for _name, _summary in {
    "rotate": "Print a new secret; for 24 hours the old one signs too.",
    "test": "Send a test message, and print its id.",
    "enable": "Enable a webhook, which goes on where it stopped.",
    "disable": "Disable a webhook; what comes is kept for later.",
    "remove": "Remove a webhook with its messages.",
}.items():
    _change_command(_name, _summary)


@webhooks_command.command("deliveries")
@filter_options(DELIVERY_FILTERS)
@limit_option
@json_option
@pass_store_url
def deliveries(limit: int, is_json: bool, url: str, **criteria: str | None) -> None:
    """List messages, the newest first; all conditions must hold.

    The same as GET /api/v1/webhooks/deliveries.
    """
    where = parse_filter(DELIVERY_FILTERS, criteria)
    found = run_on_store(
        url, lambda store: WebhookService(store, Destinations).find_deliveries(where, limit, None, OPERATOR)
    ).deliveries
    if is_json:
        from gateway.cli.serializers import delivery_lines

        print_lines(delivery_lines(found))
    else:
        print_lines(Table(DELIVERY_COLUMNS).lines(map(_delivery_cells, found)))


@webhooks_command.command("resend")
@click.argument("delivery_id")
@pass_store_url
def resend(delivery_id: str, url: str) -> None:
    """Send a message again under its id."""
    run_on_store(
        url,
        lambda store: WebhookService(store, Destinations).resend(delivery_id, OPERATOR),
        "webhooks resend",
        delivery_id,
    )


def _webhook_cells(webhook: Webhook) -> Sequence[str]:
    state = "enabled"
    if webhook.disabled_at_us is not None:
        state = f"disabled: {webhook.disabled_reason}"
    elif webhook.failing_since_us is not None:
        state = f"failing since {format_time(webhook.failing_since_us)}"
    return webhook.webhook_id, webhook.name, webhook.url, state


def _delivery_cells(delivery: Delivery) -> Sequence[str]:
    answer = delivery.error or str(delivery.status or "-")
    made = format_time(delivery.created_at_us)
    return made, delivery.delivery_id, delivery.type, delivery.state, str(delivery.attempts), answer
