"""Every table has its place: it moves to another store, is erased and has tenants, or says why not."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.alerts.rules import RuleRunner, RuleService, RuleSettings
from gateway.datasets.versions import DatasetService
from gateway.models.audit import AuditChannel, AuditEntry
from gateway.models.cached_answer import CachedAnswer
from gateway.models.clock import now_us
from gateway.models.export import Export, ExportStatus
from gateway.models.feedback import Receipt, Target
from gateway.models.filters import NO_FILTER, Page, Sort
from gateway.models.principal import Principal, Role
from gateway.models.quota import QuotaUsage, Unit, Window
from gateway.models.reviews import ReviewChange, ReviewState
from gateway.models.webhooks import Webhook, new_secret
from gateway.store import open_store
from gateway.store.base import Store, StoredKey
from gateway.store.transfer import StoreMigration
from tests.store.samples import FACTS, exchange, feedback
from tests.store.test_alerts import EVENT, RULE, STATE

MOVED = {
    "alert_events", "alert_states", "alerts", "audit", "dataset_additions", "dataset_chunks", "dataset_versions",
    "datasets", "exports", "feedback", "feedback_versions", "keys", "other_response_ids", "payloads", "receipts",
    "requests", "reviews", "rule_matches", "rules", "spendings", "webhooks",
}  # fmt: skip
SUMS = (
    "latency_rollups", "people_rollups", "rollup_seals", "usage_rollups", "user_rollups", "verdict_rollups",
)  # fmt: skip
STAYS = {
    **dict.fromkeys(SUMS, "sums, which the other store makes of its rows"),
    "rollup_splits": "what questions asked sums for, which they ask again",
    "alert_checks": "whose turn it is to look",
    "webhook_deliveries": "are sent from where they were made",
    "export_link_key": "signs links to files, which stay too",
    "sign_ins": "people sign in again",
    "cached_answers": "are fetched again",
    "journal_positions": "of this store's journals",
    "body_dictionaries": "come with the tables",
    "expired": "numbers that this store must not give again",
    "feedback_changes": "numbers that this store must not give again",
    "heartbeat": "whether this store takes writes",
    "migrations": "this store's own",
}

# With what a person wrote or who they are.
ERASED = {
    "dataset_additions", "feedback", "feedback_versions", "other_response_ids", "payloads", "people_rollups",
    "receipts", "requests", "reviews", "rule_matches", "usage_rollups", "user_rollups", "verdict_rollups",
    "latency_rollups", "webhook_deliveries", "cached_answers",
}  # fmt: skip
IMPERSONAL = {
    **dict.fromkeys(("alert_checks", "alert_events", "alert_states"), "of groups, which are never people"),
    **dict.fromkeys(
        ("alerts", "rules", "webhooks", "datasets", "exports"), "made by operators, with filters of theirs"
    ),
    "audit": "names no person: erasures are logged without one",
    "dataset_chunks": "positions and feedback ids, found no more once these are erased",
    "dataset_versions": "counts, and filters of operators",
    **dict.fromkeys(("keys", "sign_ins", "spendings"), "of keys"),
    **dict.fromkeys(
        ("expired", "feedback_changes", "export_link_key", "heartbeat", "migrations"), "of the store"
    ),
    "journal_positions": "numbers",
    "body_dictionaries": "made of examples, not of traffic",
    **dict.fromkeys(("rollup_seals", "rollup_splits"), "times and fields"),
}

# Those without a column `tenant`, and what says whose a row is.
BY_OWNER = {
    **dict.fromkeys(("payloads", "other_response_ids", "rule_matches", "dataset_additions"), "its request"),
    **dict.fromkeys(("dataset_versions", "dataset_chunks"), "its dataset"),
    "alert_checks": "its alert",
    "receipts": "`scope`, which begins with the key",
    "spendings": "its key",
    "sign_ins": "its key",
}
OF_NOBODY = {
    "expired", "export_link_key", "feedback_changes", "heartbeat", "migrations", "rollup_seals", "rollup_splits",
    "journal_positions", "body_dictionaries",
}  # fmt: skip

PERSON = "ann-of-the-marker"


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[list[Store]]:
    opened = [await open_store(f"sqlite:///{tmp_path}/{name}.db") for name in ("source", "target")]
    yield opened
    for each in opened:
        await each.close()


async def fill_every_table(store: Store) -> None:
    """Store at least one row of everything that moves, about one request of a person."""
    admin, at_us = Principal("ops", frozenset({Role.ADMIN}), "north"), now_us()
    hook = Webhook(
        tenant=None, name="hook", url="https://127.0.0.1:9", events=("feedback.updated",), secret=new_secret()
    )
    await store.put_webhook(hook)
    datasets, rules = DatasetService(store), RuleService(store)
    await datasets.create("gold", {}, "", admin, is_collecting=True)
    await rules.create("gold", RuleSettings(filters={}, dataset="gold"), admin)
    body = f'{{"user": "{PERSON}"}}'.encode()
    said: dict[str, Any] = {
        "request_body": body,
        "request_size": len(body),
        "metadata": {"_user": PERSON},
        "tenant": "north",
    }
    [seq] = await store.append([exchange("r", "t", started_at_us=at_us, **said)])
    await store.annotate([(seq, replace(FACTS, other_response_ids=(f"other-{PERSON}",)))], at_us)
    given = feedback(
        "f", "r", target=Target.REQUEST, author=PERSON, tenant="north", comment=f"by {PERSON}",
        created_at_us=at_us, updated_at_us=at_us,
    )  # fmt: skip
    await store.put_feedback([given, replace(given, version=2)], Receipt("s", "k", "d", ("f",)))
    await store.change_review(seq, ReviewChange(ReviewState.REVIEWED, "reviewer", 5, f"for {PERSON}"))
    await RuleRunner(store, rules).look()
    await datasets.freeze("gold", admin)
    await store.queue_feedback(hook.webhook_id, 9, lambda kind, entry: f"{kind} {entry.comment}")
    await store.add_key(StoredKey("app", "ab" * 32, ("proxy",), None, 5))
    await store.spend([QuotaUsage("app", Unit.REQUESTS, Window.DAY, 60, 7)])
    await store.begin_audit(AuditEntry(actor="ops", via=AuditChannel.API, action="DELETE /x", outcome="200"))
    await store.put_alert(RULE)
    check = await store.claim_alert_check(RULE.alert_id, 1, 2)
    assert check is not None
    await store.finish_alert_check(check, [STATE], [EVENT])
    export = Export(
        export_id="e", exporter="native", filters={"format": "csv"}, columns=(), rows_done=3, last_seq=seq,
        status=ExportStatus.SUCCESS, file="e.csv", created_at_us=1, updated_at_us=1,
    )  # fmt: skip
    await store.put_export(export)
    answer = CachedAnswer(
        key="k", tenant="north", trace_id="t", request_id="r", headers=(), body=body, created_at_us=at_us,
        expires_at_us=at_us * 2,
    )  # fmt: skip
    await store.put_answers([answer])


def tables(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return the rows of every table."""
    with closing(sqlite3.connect(path)) as database:
        listed = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        names = [row[0] for row in database.execute(listed)]
        return {name: database.execute(f'SELECT * FROM "{name}"').fetchall() for name in names}


async def test_each_table_moves_to_another_store_or_says_why_not(stores: list[Store], tmp_path: Path) -> None:
    source, target = stores
    await target.append([exchange("before", started_at_us=1)])
    await fill_every_table(source)
    for _ in range(2):
        await StoreMigration(source, target, lambda _: None).run()
    before, after = (tables(tmp_path / f"{name}.db") for name in ("source", "target"))
    assert before.keys() == MOVED | STAYS.keys()
    assert {name for name in MOVED if not before[name]} == set()
    of_target = {"requests": 1, "payloads": 1}
    assert {name: len(after[name]) for name in MOVED} == {
        name: len(before[name]) + of_target.get(name, 0) for name in MOVED
    }
    # What names a request by its position follows it.
    [record] = await target.find_requests(NO_FILTER, Sort(), Page(1), "north")
    assert record.seq == 2
    datasets = DatasetService(target)
    rows = await datasets.rows("gold@1", "north")
    assert [(each.seq, [entry.version for entry in each.feedback]) async for each in rows.requests()] == [
        (2, [2])
    ]
    assert [row[1] for row in after["dataset_additions"]] == [2]
    assert [row[2] for row in after["rule_matches"]] == [2]
    [draft] = await target.find_exports(NO_FILTER, Sort(), Page(9), None)
    assert (draft.status, draft.file, draft.filters) == (ExportStatus.DRAFT, None, {"format": "csv"})


async def test_each_table_is_rid_of_an_erased_person_or_says_why_nothing_is_there(
    stores: list[Store], tmp_path: Path
) -> None:
    store = stores[0]
    await fill_every_table(store)
    await store.roll_up(now_us() + 10**12)

    def named() -> set[str]:
        found = tables(tmp_path / "source.db")
        return {name for name, rows in found.items() if PERSON in str(rows)}

    assert named() >= {
        "requests",
        "payloads",
        "feedback",
        "feedback_versions",
        "reviews",
        "webhook_deliveries",
        "cached_answers",
    }
    assert named() <= ERASED
    await store.erase(await store.find_user_scope(PERSON, None), now_us())
    assert named() == set()
    found = tables(tmp_path / "source.db")
    assert found.keys() == ERASED | IMPERSONAL.keys()
    assert found["dataset_additions"] == found["rule_matches"] == []


async def test_each_table_has_tenants_or_says_whose_its_rows_are(stores: list[Store], tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "source.db")) as database:
        owned = {
            name
            for name in tables(tmp_path / "source.db")
            if "tenant" in [row[1] for row in database.execute(f'PRAGMA table_info("{name}")')]
        }
    assert BY_OWNER.keys() | OF_NOBODY == tables(tmp_path / "source.db").keys() - owned
    assert not owned & (BY_OWNER.keys() | OF_NOBODY)
