"""`gateway experiments`: which variant is better, and how many people an experiment needs."""

import math
from collections.abc import Iterator

import click

from gateway.cli.filters import json_option
from gateway.cli.options import pass_config, run_on_store
from gateway.cli.output import Column, Table, print_lines
from gateway.config import Config
from gateway.errors import BadInput
from gateway.experiments.confidence import METHOD, pair_alpha, people_needed, people_needed_at_fixed_end
from gateway.experiments.reader import ExperimentReader
from gateway.experiments.results import ExperimentResult, VariantResult
from gateway.models.experiment import DEFAULT_ALPHA, MAX_VARIANTS, MIN_VARIANTS, Goal
from gateway.query.statistics import POWER
from gateway.runtime import build_routes

_LIST_COLUMNS = (
    Column("EXPERIMENT", 20, min_width=10),
    Column("WINNER", 12, min_width=6),
    Column("WHAT CAN BE SAID", 16, min_width=40),
)
_VARIANT_COLUMNS = (
    Column("VARIANT", 16, min_width=7),
    Column("SHARE", 6),
    Column("REQUESTS", 9),
    Column("ERRORS", 7),
    Column("PEOPLE", 7),
    Column("GOAL", 24, min_width=10),
)


@click.group("experiments")
def experiments_command() -> None:
    """Show which variant is better, and plan experiments."""


@experiments_command.command("list")
@json_option
@pass_config
def list_(is_json: bool, config: Config) -> None:
    """List the experiments of the configuration, and who wins."""
    routes = list(build_routes(config).routes.values())
    found = run_on_store(
        config.storage.url, lambda store: ExperimentReader(store, lambda: routes).read_all(None)
    )
    if is_json:
        _print_json(found)
        return
    cells = ((each.experiment.label, each.winner or "-", each.summary) for each in found)
    print_lines(Table(_LIST_COLUMNS).lines(cells))


@experiments_command.command("show")
@click.argument("name")
@json_option
@pass_config
def show(name: str, is_json: bool, config: Config) -> None:
    """Show what can be said of an experiment, why, and what not yet."""
    routes = list(build_routes(config).routes.values())
    found = run_on_store(
        config.storage.url, lambda store: ExperimentReader(store, lambda: routes).read(name, None)
    )
    if is_json:
        _print_json([found])
    else:
        print_lines(_result_lines(found))


def _print_json(found: list[ExperimentResult]) -> None:
    from gateway.cli.serializers import experiment_lines

    print_lines(experiment_lines(found))


def _result_lines(found: ExperimentResult) -> Iterator[str]:
    experiment = found.experiment
    kept = f"each {experiment.unit} keeps its variant"
    yield f"{experiment.label}: {experiment.goal} of {experiment.source} feedback, {kept}"
    yield ""
    yield from Table(_VARIANT_COLUMNS).lines(map(_variant_cells, found.variants))
    yield ""
    yield found.summary
    for warning in found.warnings:
        yield f"! {warning}"
    yield ""
    yield METHOD


def _variant_cells(found: VariantResult) -> tuple[str, ...]:
    usage, goal = found.sums.arm.usage, found.estimate
    shown = "-" if goal is None else f"{goal.value:.2f} [{goal.low:.2f}, {goal.high:.2f}]"
    return (
        found.name, f"{found.share:.0%}", f"{usage.requests:,}", f"{usage.errors:,}", f"{found.people:,}", shown,
    )  # fmt: skip


@experiments_command.command("plan")
@click.option("--now", type=float, required=True, help="The goal as it is, such as a mean score of 0.4.")
@click.option("--difference", type=float, required=True, help="The least difference that matters.")
@click.option("--people-a-day", type=float, help="Different people a day who give a score.")
@click.option(
    "--goal", type=click.Choice([each.value for each in Goal]), default=Goal.SCORE.value, show_default=True,
    help="What is compared.",
)  # fmt: skip
@click.option(
    "--variants",
    type=click.IntRange(MIN_VARIANTS, MAX_VARIANTS),
    default=2,
    show_default=True,
    help="How many there are.",
)
@click.option(
    "--alpha",
    type=click.FloatRange(0.001, 0.2),
    default=DEFAULT_ALPHA,
    show_default=True,
    help="Most probability of a false winner.",
)
def plan(
    now: float, difference: float, people_a_day: float | None, goal: str, variants: int, alpha: float
) -> None:
    """Say how many people show a difference, and in how many days."""
    is_score = goal == Goal.SCORE
    one, gain = ((now + 1) / 2, difference / 2) if is_score else (now, difference)
    other = one + gain
    if not (gain and 0 <= one <= 1 and 0 <= other <= 1):
        scale = "-1 and 1" if is_score else "0 and 1"
        raise BadInput(f"with --now must stay between {scale}, and is not 0.", field="--difference")
    each_alpha = pair_alpha(alpha, variants)
    needed = people_needed(other, one, each_alpha)
    if needed is None:
        raise BadInput("is too small: more than a million people a variant are needed.", field="--difference")
    fixed = people_needed_at_fixed_end(other, one, each_alpha)
    click.echo(
        f"{needed:,} people a variant show a difference of {difference:g} with a power of {POWER:.0%}, however"
        f" often one looks, if people are of two minds; fewer if they agree."
    )
    click.echo(f"A t test that looks once, at its end, would need {fixed:,}.")
    if people_a_day:
        days = math.ceil(needed * variants / people_a_day)
        click.echo(f"At {people_a_day:g} people a day that takes {days:,} days.")
