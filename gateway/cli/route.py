"""`gateway route`: where a route sends a request, and why."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import click
import orjson

from gateway.cli.filters import split_pair
from gateway.cli.options import config_option, find_config_file
from gateway.config import load_config
from gateway.errors import BadInput
from gateway.models.guardrails import Guardrail
from gateway.models.route import ConditionContext, Route, RouteNode, RouteSettings, RouteStrategy
from gateway.routing.route_table import RouteTable
from gateway.routing.walk import TIMED_OUT, UNREACHABLE, AttemptOutcome, RouteAttempt, RouteWalk
from gateway.runtime import build_router, build_routes
from gateway.wire.json_members import edit_params

# What `--then` takes beside statuses.
_PHRASES = {"unreachable": UNREACHABLE, "timeout": TIMED_OUT}


@click.group("route")
def route_command() -> None:
    """Routes: what they do with a request. Nothing is sent."""


@route_command.command("explain")
@click.argument("request_file", metavar="REQUEST.JSON", type=click.File("rb"))
@config_option
@click.option("--route", "route_text", metavar="NAME|JSON", help="The route, or a config as callers send it.")
@click.option("--key", "key_name", metavar="NAME", help="Name of the caller's key, which may have a route.")
@click.option("--metadata", metavar="KEY=VALUE", multiple=True, help="As in x-portkey-metadata.")
@click.option("--path", default="/v1/chat/completions", show_default=True, help="Path of the request.")
@click.option(
    "--then",
    "outcomes",
    metavar="STATUS",
    multiple=True,
    help="How each attempt ends, in order: a status, unreachable or timeout.  [default: 200]",
)
def explain(
    request_file: IO[bytes],
    config_file: Path | None,
    route_text: str | None,
    key_name: str | None,
    metadata: tuple[str, ...],
    path: str,
    outcomes: tuple[str, ...],
) -> None:
    """Show which target a request goes to, what is sent there, and what follows if it fails.

    REQUEST.JSON is the body, - for standard input. Where targets are drawn by weight, the heaviest is shown.
    """
    config = load_config(find_config_file(config_file), os.environ)
    build_router(config)
    routes = build_routes(config)
    route = _find_route(routes, route_text, key_name)
    body = request_file.read()
    context = ConditionContext(
        dict(split_pair(each) for each in metadata), _params(body), path.partition("?")[0]
    )
    default = config.default_provider or (
        next(iter(config.providers)) if len(config.providers) == 1 else None
    )
    if (mirror := route.mirror) is not None:
        click.echo(f"{mirror.share:.0%} of requests go to {mirror.target.label} too, unseen by callers.")
    for line in _explain(route, context, body, [_outcome(text) for text in outcomes], default):
        click.echo(line)
    for warning in route.warnings:
        click.echo(f"warning: {warning.field}: {warning.message}", err=True)


def _find_route(routes: RouteTable, text: str | None, key_name: str | None) -> Route:
    route = routes.find(None if text is None else text.encode(), key_name)
    if route is None:
        known = ", ".join(routes.routes) or "none"
        hint = f"Name one with --route; configured are: {known}."
        raise BadInput("no route applies, so requests go to the provider that they name.", hint=hint)
    return route


def _params(body: bytes) -> Mapping[str, object]:
    try:
        params = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return params if isinstance(params, dict) else {}


def _outcome(text: str) -> AttemptOutcome:
    if text in _PHRASES:
        phrase = "cannot be reached" if text == "unreachable" else "does not answer in time"
        return AttemptOutcome(_PHRASES[text], {}, phrase)
    if not (text.isdecimal() and len(text) == 3):
        allowed = "a status such as 503, unreachable or timeout"
        raise BadInput(f"must be {allowed}; got {text[:40]!r}.", field="--then")
    return AttemptOutcome(frozenset({int(text)}), {}, f"answers {text}")


@dataclass(slots=True)
class _HeaviestChoice:
    """Chooses the heaviest target, and notes the shares of all."""

    shares: list[str] = field(default_factory=list)

    def choose(self, strategy: RouteStrategy) -> tuple[RouteNode, str]:
        total = sum(target.weight for target in strategy.targets)
        shown = ", ".join(f"{target.label} {target.weight / total:.0%}" for target in strategy.targets)
        self.shares.append(f"shares: {shown}")
        return max(strategy.targets, key=lambda target: target.weight), "has the largest weight"

    def assign(self, strategy: RouteStrategy) -> tuple[RouteNode, str, str]:
        assert strategy.experiment is not None, "only experiments have variants"
        return *self.choose(strategy), strategy.experiment.label

    def leave(self, strategy: RouteStrategy, failed: RouteNode) -> None: ...


def _explain(
    route: Route,
    context: ConditionContext,
    body: bytes,
    outcomes: Sequence[AttemptOutcome],
    default_provider: str | None,
) -> list[str]:
    choice = _HeaviestChoice()
    # Pauses are shown at their longest.
    walk = RouteWalk(route, context, choice=choice, draw=lambda: 0.0)
    attempt: RouteAttempt | None = walk.first()
    lines: list[str] = []
    answered = AttemptOutcome(frozenset({200}), {}, "answers 200")
    ends = iter(outcomes or [answered])
    outcome = answered
    while attempt is not None:
        lines += [f"  {share}" for share in choice.shares]
        choice.shares.clear()
        provider = attempt.target.provider or default_provider or "the provider that the request names"
        lines.append(f"→ {provider}: {attempt.reason}")
        lines += [f"  {line}" for line in _describe_settings(attempt.target.settings, body)]
        if (following := next(ends, None)) is None:
            lines.append("  whose answer decides; say how it ends with --then.")
            return lines
        outcome = following
        attempt = walk.following(outcome)
    answer = "the caller gets this answer" if outcome.is_success else "the caller gets this failure"
    lines.append(f"{outcome.reason}; {answer}.")
    return lines


def _describe_settings(settings: RouteSettings, body: bytes) -> list[str]:
    lines: list[str] = []
    if settings.edits_body:
        edited = edit_params(body, settings)
        lines.append(f"body: {edited.decode('utf-8', 'replace').strip()[:2000]}")
    if settings.custom_host is not None:
        lines.append(f"host: {settings.custom_host}")
    if settings.request_timeout_ms is not None:
        lines.append(f"timeout: {settings.request_timeout_ms} ms until the answer begins")
    if (retry := settings.retry) is not None and retry.attempts:
        codes = ", ".join(map(str, sorted(retry.status_codes)))
        lines.append(f"retry: {retry.attempts} times after {codes}")
    stages = (("request", settings.input_checks), ("answer", settings.output_checks))
    lines += [
        f"checks of the {stage}: {_describe_guardrail(each)}" for stage, those in stages for each in those
    ]
    if (cache := settings.cache) is not None:
        mode = "" if cache.reads and cache.writes else ", only read" if cache.reads else ", only written"
        lines.append(
            f"cache: answers of up to {cache.max_age_seconds:,} s{mode}; a hit is given without an attempt"
        )
    return lines


def _describe_guardrail(guardrail: Guardrail) -> str:
    how = (
        "denies" if guardrail.denies else "nothing waits for it" if guardrail.is_async else "246 if it fails"
    )
    return f"{guardrail.id} ({', '.join(check.id for check in guardrail.checks)}): {how}"
