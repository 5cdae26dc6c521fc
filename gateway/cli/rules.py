"""`gateway rules`: what happens by itself to requests that match."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import click

from gateway.alerts.rules import RuleService, RuleSettings
from gateway.cli.filters import json_option, pairs_by_name
from gateway.cli.options import OPERATOR, pass_store_url, run_on_store
from gateway.cli.output import Column, Table, print_lines
from gateway.errors import BadInput
from gateway.models.clock import parse_time_us
from gateway.models.rules import Rule

COLUMNS = (
    Column("ID", 41),
    Column("NAME", 8, min_width=8),
    Column("WHERE", 8, min_width=12),
    Column("SAMPLE", 6),
    Column("ACTIONS", 8, min_width=8),
    Column("MATCHED", 7),
    Column("STATE", 8),
)

Command = Callable[..., Any]
T = TypeVar("T")


def _rule_options(function: Command) -> Command:
    options = (
        click.option("--where", metavar="NAME=VALUE", multiple=True, help="Condition, as lists have them."),
        click.option("--sample", type=float, default=1.0, show_default=True, help="Share that it acts on."),
        click.option("--label", help="Give feedback with this label."),
        click.option("--review", is_flag=True, help="Put up for review."),
        click.option("--webhook", help="Name or id of a webhook to notify."),
        click.option("--dataset", help="Name or id of a dataset that collects, to add the request to."),
        click.option("--delete-after-days", type=int, help="Delete the request so long after its end."),
        click.option("--keep-days", type=int, help="Keep the request so long, whatever retention says."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _settings(where: tuple[str, ...], **given: Any) -> RuleSettings:
    return RuleSettings(filters=pairs_by_name(where), **given)


@click.group("rules")
def rules_command() -> None:
    """Make, try, list and change rules. A running gateway applies them."""


@rules_command.command("list")
@json_option
@pass_store_url
def list_(is_json: bool, url: str) -> None:
    """List rules by name.

    The same as GET /api/v1/rules.
    """
    found = run_on_store(url, lambda store: RuleService(store).find(OPERATOR))
    if is_json:
        from gateway.cli.serializers import rule_lines

        print_lines(rule_lines(found))
    else:
        print_lines(Table(COLUMNS).lines(_rule_cells(rule, matched) for rule, matched in found))


@rules_command.command("create")
@click.argument("name")
@_rule_options
@pass_store_url
def create(name: str, url: str, **given: Any) -> None:
    """Make a rule called NAME, and print its id. It acts on what comes from now on."""
    settings = _settings(**given)
    made = _change(url, "create", name, lambda service: service.create(name, settings, OPERATOR))
    click.echo(made.rule_id)


@rules_command.command("try")
@click.option("--since", default="7d", show_default=True, help="Time from which on requests are looked at.")
@_rule_options
@pass_store_url
def try_(since: str, url: str, **given: Any) -> None:
    """Say what a rule would have acted on, and do nothing."""
    settings, from_us = _settings(**given), _time_us(since)
    found = run_on_store(url, lambda store: RuleService(store).dry_run(settings, from_us, OPERATOR))
    more = "more than " if found.is_more else ""
    click.echo(f"matching  {more}{found.matching:,}")
    click.echo(f"sampled   about {found.sampled:,}")
    for record in found.examples:
        click.echo(record.request_id)


@rules_command.command("backfill")
@click.argument("rule_id")
@click.option("--since", help="Time from which on requests are gone through.  [default: all]")
@pass_store_url
def backfill(rule_id: str, since: str | None, url: str) -> None:
    """Let a running gateway apply a rule to earlier requests, to none twice."""
    from_us = None if since is None else _time_us(since)
    _change(url, "backfill", rule_id, lambda service: service.backfill(rule_id, from_us, OPERATOR))


@rules_command.command("enable")
@click.argument("rule_id")
@pass_store_url
def enable(rule_id: str, url: str) -> None:
    """Enable a rule, which acts on what comes from now on."""
    _change(url, "enable", rule_id, lambda service: service.switch(rule_id, True, OPERATOR))


@rules_command.command("disable")
@click.argument("rule_id")
@pass_store_url
def disable(rule_id: str, url: str) -> None:
    """Disable a rule."""
    _change(url, "disable", rule_id, lambda service: service.switch(rule_id, False, OPERATOR))


@rules_command.command("remove")
@click.argument("rule_id")
@pass_store_url
def remove(rule_id: str, url: str) -> None:
    """Remove a rule. What it did stays; deletions that are still to come do not."""
    _change(url, "remove", rule_id, lambda service: service.remove(rule_id, OPERATOR))


def _change(url: str, name: str, target: str, apply: Callable[[RuleService], Coroutine[Any, Any, T]]) -> T:
    return run_on_store(url, lambda store: apply(RuleService(store)), f"rules {name}", target)


def _time_us(text: str) -> int:
    try:
        return parse_time_us(text)
    except ValueError as error:
        raise BadInput(str(error), field="since") from None


def _rule_cells(rule: Rule, matched: int) -> Sequence[str]:
    where = " ".join(f"{name}={text}" for name, text in rule.filters.items()) or "all"
    actions = (
        f"label {rule.label}" if rule.label else "",
        "review" if rule.review else "",
        "webhook" if rule.webhook_id else "",
        "dataset" if rule.dataset_id else "",
        f"keep {rule.keep_days} d" if rule.keep_days else "",
        f"delete after {rule.delete_after_days} d" if rule.delete_after_days else "",
    )
    state = "enabled" if rule.disabled_at_us is None else "disabled"
    return (
        rule.rule_id,
        rule.name,
        where,
        f"{rule.sample:g}",
        ", ".join(filter(None, actions)),
        str(matched),
        state,
    )
