from __future__ import annotations

from pathlib import Path

import httpx

from tests.cli.conftest import Run
from tests.conftest import StartGateway
from tests.log_reader import eventually


def test_a_key_is_printed_alone_and_kept_as_a_hash(run: Run) -> None:
    made = run("keys", "create", "app", "--role", "proxy", "--role", "feedback", "--tenant", "acme")
    token = made.stdout.strip()
    assert made.returncode == 0
    assert made.stdout == f"{token}\n"
    assert token.startswith("gw-")
    assert token not in made.stderr

    listed = run("keys", "list").stdout
    (row,) = listed.splitlines()[1:]
    assert row.startswith("app ")
    assert all(word in row for word in ("feedback, proxy", "acme", "live"))
    assert token not in listed


def test_a_revoked_key_stays_on_the_list(run: Run) -> None:
    run("keys", "create", "app", "--role", "proxy")
    assert run("keys", "revoke", "app").returncode == 0
    assert "revoked 20" in run("keys", "list").stdout


def test_a_name_in_use_is_refused_until_its_key_is_revoked(run: Run) -> None:
    run("keys", "create", "app", "--role", "proxy")
    refused = run("keys", "create", "app", "--role", "proxy")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("error: ")
    run("keys", "revoke", "app")
    assert run("keys", "create", "app", "--role", "proxy").returncode == 0


def test_an_unknown_name_cannot_be_revoked(run: Run) -> None:
    run("keys", "create", "app", "--role", "proxy")
    refused = run("keys", "revoke", "other")
    assert refused.returncode == 1
    assert "'other'" in refused.stderr


def test_a_name_that_nobody_could_read_is_refused(run: Run) -> None:
    assert run("keys", "create", "a\x1b[2J", "--role", "proxy").returncode == 2
    assert run("keys", "create", "", "--role", "proxy").returncode == 2


def test_a_key_made_before_the_first_start_opens_the_gateway(
    run: Run, tmp_path: Path, start_gateway: StartGateway
) -> None:
    storage = ("--storage", f"sqlite:///{tmp_path}/shared.db")
    token = run("keys", "create", "reader", "--role", "read", *storage).stdout.strip()
    gateway = start_gateway({}, arguments=("--demo", *storage))
    path = f"{gateway.url}/api/v1/requests"
    assert httpx.get(path).status_code == 401
    assert httpx.get(path, headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_a_key_made_here_has_its_limits(run: Run, start_gateway: StartGateway) -> None:
    gateway = start_gateway({}, arguments=("--demo",))
    store = ("--storage", f"sqlite:///{gateway.database}")
    made = run("keys", "create", "ci", "--role", "proxy", "--limit", "1 requests/month", *store)
    headers = {"x-portkey-api-key": made.stdout.strip()}
    assert "0 of 1 requests/month" in run("keys", "list", *store).stdout

    def call() -> int:
        body = {"model": "m", "prompt": "hi"}
        return httpx.post(f"{gateway.url}/v1/completions", json=body, headers=headers).status_code

    # Until the gateway knows of the key it is open, and limits nobody.
    eventually(lambda: call() == 429)
    eventually(lambda: "1 of 1 requests/month" in run("keys", "list", *store).stdout)


def test_keys_of_the_file_are_listed_and_revoked_in_the_file(run: Run, tmp_path: Path) -> None:
    tmp_path.joinpath("gateway.yaml").write_text(
        "providers: {up: {base_url: http://127.0.0.1:1/v1}}\n"
        "keys: [{name: app, key: app-key, role: [proxy, read], limits: [5 requests/day, 2.50 usd/month]}]\n"
    )
    before_the_store = run("keys", "list")
    run("keys", "create", "ci", "--role", "proxy")
    title, *rows = run("keys", "list").stdout.splitlines()
    assert before_the_store.stdout.splitlines() == [title, *rows[:2]]
    assert title.split("  ")[0] == "NAME"
    assert rows[0].split() == [
        "app",
        "file",
        "proxy,",
        "read",
        "-",
        "-",
        *["0", "of", "5", "requests/day"],
        "live",
    ]
    assert rows[1].split() == ["0", "of", "2.5", "usd/month"]
    assert rows[2].split()[:3] == ["ci", "store", "proxy"]

    refused = run("keys", "revoke", "app")
    assert refused.returncode == 1
    assert "'app' is in gateway.yaml, not in the store. Remove it from the file" in refused.stderr


def test_a_limit_that_is_none_is_refused_with_what_one_looks_like(run: Run) -> None:
    refused = run("keys", "create", "ci", "--role", "proxy", "--limit", "lots")
    assert refused.returncode == 2
    assert "600 requests/minute" in refused.stderr
    doubled = run(
        "keys", "create", "ci", "--role", "proxy", *("--limit", "1 tokens/day", "--limit", "2 tokens/day")
    )
    assert "must have one limit of tokens/day" in doubled.stderr
