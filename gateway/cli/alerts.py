"""`gateway alerts`: list rules with where they stand, their events, try a rule on the past, add and delete."""

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import click

from gateway.alerts.definition import AlertService, AlertView, build_rule
from gateway.alerts.evaluation import describe
from gateway.alerts.preview import Preview, preview_rule
from gateway.cli.filters import json_option, limit_option, pairs_by_name
from gateway.cli.options import OPERATOR, pass_config, run_on_store
from gateway.cli.output import Column, Table, format_time, print_lines
from gateway.config import Config
from gateway.models.alerts import (
    AlertEvent,
    AlertRule,
    AlertState,
    AlertTest,
    Measure,
    NoDataMode,
    Severity,
)
from gateway.models.clock import format_duration, now_us
from gateway.runtime import build_alert_rules

COLUMNS = (
    Column("ALERT", 12, min_width=12),
    Column("STATE", 8),
    Column("SINCE (UTC)", 19),
    Column("WHERE IT STANDS", 15, min_width=30),
)
EVENT_COLUMNS = (
    Column("AT (UTC)", 19),
    Column("WHAT", 10),
    Column("ALERT", 12, min_width=12),
    Column("MESSAGE", 7, min_width=30),
)
_OPERATOR = replace(OPERATOR, name="command line")

T = TypeVar("T")


def _rule_options(function: Any) -> Any:
    options = (
        click.option(
            "--measure", type=click.Choice([each.value for each in Measure]), help="What is watched."
        ),
        click.option("--above", type=float, help="Threshold that the measure shall not be above."),
        click.option("--below", type=float, help="Threshold that it shall not be below."),
        click.option("--where", multiple=True, metavar="NAME=VALUE", help="A filter, as of gateway logs."),
        click.option("--group-by", metavar="FIELD", help="Watch each value on its own."),
        click.option("--window", metavar="AGE", help="Time that a look is about, such as 1h."),
        click.option("--settle", metavar="AGE", help="Age from which requests count."),
        click.option("--min-count", type=int, help="With fewer requests or people there is no data."),
        click.option(
            "--test",
            type=click.Choice([each.value for each in AlertTest]),
            help="Whether chance must be excluded.",
        ),
        click.option(
            "--no-data",
            type=click.Choice([each.value for each in NoDataMode]),
            help="What too few requests or people do.",
        ),
        click.option("--renotify", metavar="AGE", help="Pause between reminders."),
        click.option(
            "--severity", type=click.Choice([each.value for each in Severity]), help="How bad it is."
        ),
        click.option("--description", help="What to do about it."),
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.group("alerts")
def alerts_command() -> None:
    """List alerts and their events, try one on the past, add and delete."""


@alerts_command.command("list")
@json_option
@pass_config
def list_(is_json: bool, config: Config) -> None:
    """List alerts of the file and of the store, and where they stand."""
    views = _ask(config, lambda service: service.list(None))
    if is_json:
        from gateway.cli.serializers import alert_lines

        print_lines(alert_lines(views))
    else:
        print_lines(Table(COLUMNS).lines(cells for view in views for cells in _cells(view)))


@alerts_command.command("history")
@limit_option
@json_option
@pass_config
def history(limit: int, is_json: bool, config: Config) -> None:
    """List events of alerts, the newest first."""
    events = _ask(config, lambda service: service.events(None, limit))
    if is_json:
        from gateway.cli.serializers import alert_event_lines

        print_lines(alert_event_lines(events))
    else:
        print_lines(Table(EVENT_COLUMNS).lines(map(_event_cells, events)))


@alerts_command.command("preview")
@click.argument("name", required=False)
@click.option("--days", type=int, default=7, show_default=True, help="How many days back.")
@_rule_options
@json_option
@pass_config
def preview(name: str | None, days: int, is_json: bool, config: Config, **fields: Any) -> None:
    """Show when an alert would have fired: that of this NAME, or one of these options."""
    given = _given(fields)
    rule, found = _ask(config, lambda service: _preview(service, name, days, given))
    if is_json:
        from gateway.cli.serializers import preview_lines

        print_lines(preview_lines(found))
    else:
        print_lines(_preview_lines(rule, found))


@alerts_command.command("add")
@click.argument("name")
@_rule_options
@pass_config
def add(name: str, config: Config, **fields: Any) -> None:
    """Add an alert to the store; running gateways look at it within seconds."""
    given = {"name": name, **_given(fields)}
    rule = _ask(config, lambda service: service.create(given, _OPERATOR), "alerts add", name)
    click.echo(f"added {rule.name!r}, {rule.alert_id}")


@alerts_command.command("delete")
@click.argument("name")
@pass_config
def delete(name: str, config: Config) -> None:
    """Delete an alert of the store by its name or id."""
    _ask(config, lambda service: service.delete(name, None), "alerts delete", name)
    click.echo(f"deleted {name!r}")


def _given(fields: Mapping[str, Any]) -> dict[str, object]:
    said = {name: value for name, value in fields.items() if value is not None}
    return {**said, "where": pairs_by_name(said["where"])}


def _ask(
    config: Config,
    ask: Callable[[AlertService], Coroutine[Any, Any, T]],
    action: str | None = None,
    target: str | None = None,
) -> T:
    rules = build_alert_rules(config)
    return run_on_store(config.storage.url, lambda store: ask(AlertService(store, rules)), action, target)


async def _preview(
    service: AlertService, name: str | None, days: int, fields: dict[str, object]
) -> tuple[AlertRule, Preview]:
    if name is None:
        rule = build_rule({"name": "preview", **fields}, "preview", None)
    else:
        rule = (await service.find(name, None)).rule
    return rule, await preview_rule(service.store, rule, now_us(), days)


def _cells(view: AlertView) -> Iterator[Sequence[str]]:
    rule = view.rule
    if view.check is not None and view.check.error is not None:
        yield rule.name, "failed", "-", view.check.error
    elif not view.states:
        yield rule.name, "-" if rule.is_enabled else "off", "-", "not looked at yet"
    for state in view.states:
        yield rule.name, _status(state), format_time(state.since_us), describe(rule, state)


def _status(state: AlertState) -> str:
    return state.status.replace("_", " ")


def _event_cells(event: AlertEvent) -> Sequence[str]:
    return format_time(event.at_us), event.kind, event.name, event.message


def _preview_lines(rule: AlertRule, found: Preview) -> Iterator[str]:
    times = "once" if found.fired == 1 else f"{found.fired:,} times"
    yield (
        f"{rule.name} would have fired {times} from {format_time(found.from_us)} to {format_time(found.to_us)} UTC,"
        f" with a look each {format_duration(found.step_us)}."
    )
    if found.events:
        yield from Table(EVENT_COLUMNS).lines(map(_event_cells, found.events))
