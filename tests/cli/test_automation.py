"""`gateway rules`, `datasets` and `webhooks`: what they make, change and print."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import click
import orjson
import pytest
from click.testing import CliRunner

from gateway.alerts.rules import RuleRunner, RuleService
from gateway.cli.datasets import datasets_command
from gateway.cli.rules import rules_command
from gateway.cli.webhooks import webhooks_command
from gateway.models.clock import now_us
from gateway.models.filters import NO_FILTER, Page, Sort
from gateway.store import open_store
from gateway.store.base import Store
from tests.store.samples import FACTS, exchange

Run = Callable[..., list[str]]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store with two requests."""
    url = f"sqlite:///{tmp_path}/gateway.db"

    async def fill(store: Store) -> None:
        rows = [exchange(each, f"t-{each}", started_at_us=now_us()) for each in ("a", "b")]
        await store.annotate([(seq, FACTS) for seq in await store.append(rows)], now_us())

    on_store(url, fill)
    return url


def on_store(url: str, work: Callable[[Store], object]) -> None:
    async def run() -> None:
        store = await open_store(url)
        await work(store)  # type: ignore[misc]
        await store.close()

    asyncio.run(run())


@pytest.fixture
def run(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command on the store, and return the lines it prints."""
    monkeypatch.chdir(tmp_path)

    def run(command: click.Command, *arguments: str) -> list[str]:
        result = CliRunner().invoke(command, [*arguments, "--storage", url], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout.splitlines()

    return run


def test_a_rule_collects_what_a_dataset_freezes(run: Run, url: str) -> None:
    run(datasets_command, "create", "gold", "--collect")
    options = ("--dataset", "gold", "--keep-days", "30", "--where", "request_id=a")
    assert run(rules_command, "try", *options) == ["matching  1", "sampled   about 1", "a"]
    [rule_id] = run(rules_command, "create", "good", *options)
    [_, listed] = run(rules_command, "list")
    assert listed.split()[:4] == [rule_id, "good", "request_id=a", "1"]
    assert "dataset" in listed
    [line] = run(rules_command, "list", "--json")
    assert orjson.loads(line)["keep_days"] == 30
    run(rules_command, "backfill", rule_id, "--since", "1d")
    on_store(url, lambda store: RuleRunner(store, RuleService(store)).look())
    assert run(datasets_command, "freeze", "gold") == ["gold@1: 1 requests, 0 entries of feedback"]
    assert run(datasets_command, "diff", "gold", "1", "1")[0] == "1 the same"
    assert run(datasets_command, "show", "gold")[1].split()[:3] == ["gold", "1", "1"]
    for name in ("disable", "enable", "remove"):
        run(rules_command, name, rule_id)
    assert len(run(rules_command, "list")) == 1
    run(datasets_command, "delete", "gold")
    assert len(run(datasets_command, "list")) == 1

    async def check_audit(store: Store) -> None:
        found = await store.find_audit(NO_FILTER, Sort(descending=False), Page(99), None)
        actions = [(each.action, each.target) for each in found]
        assert actions[:3] == [
            ("datasets create", "gold"),
            ("rules create", "good"),
            ("rules backfill", rule_id),
        ]
        assert len(actions) == 8

    on_store(url, check_audit)


def test_a_webhook_is_made_changed_and_removed(run: Run) -> None:
    [secret] = run(
        webhooks_command, "create", "https://93.184.216.34/", "--event", "export.done", "--name", "crm"
    )
    assert secret.startswith("whsec_")
    webhook_id = run(webhooks_command, "list")[1].split()[0]
    [rotated] = run(webhooks_command, "rotate", webhook_id)
    assert rotated.startswith("whsec_")
    assert rotated != secret
    [delivery_id] = run(webhooks_command, "test", webhook_id)
    assert delivery_id in run(webhooks_command, "deliveries", "--state", "waiting")[1]
    run(webhooks_command, "resend", delivery_id)
    run(webhooks_command, "disable", webhook_id)
    assert "disabled" in run(webhooks_command, "list")[1]
    run(webhooks_command, "remove", webhook_id)
    assert len(run(webhooks_command, "list")) == 1
