"""What is wrong with a deployment is named with what to do about it; what is right is left in peace."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from gateway.cli.doctor import network, storage
from gateway.cli.doctor.findings import Deployment, Finding
from gateway.config import load_config
from gateway.config.models import MIB
from gateway.models.clock import now_us
from gateway.store import open_store
from gateway.store.journal import encode_record
from gateway.store.journal_files import GatewayJournal, SegmentWriter
from tests.cli.command import COMMAND, plain_environment, run_gateway
from tests.cli.conftest import Played, Run
from tests.storage_faults import overwrite_root_of
from tests.store.samples import exchange, feedback

SECRET = "a-secret-of-some-length"
PROVIDERS = {"up": {"base_url": "http://127.0.0.1:1/v1"}}


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A deployment with a store in it, and nothing wrong."""
    store = await open_store(f"sqlite:///{tmp_path / 'gateway.db'}")
    await store.append([exchange()])
    await store.put_feedback([feedback()])
    await store.close()
    configure(tmp_path)
    return tmp_path


def configure(folder: Path, **sections: Any) -> None:
    server = {"port": 0, **sections.pop("server", {})}
    file = folder / "gateway.yaml"
    file.write_text(yaml.safe_dump({"server": server, "providers": PROVIDERS, **sections}))
    file.chmod(0o600)


class Examination(NamedTuple):
    """How the command ended, and what it found: level and words by what they are about."""

    code: int
    found: list[dict[str, str]]

    def worst(self, about: str) -> tuple[str, str]:
        """The worst finding about something, and all that is said of it."""
        findings = [each for each in self.found if each["about"] == about]
        worst = max(findings, key=lambda each: ("ok", "warning", "problem").index(each["level"]))
        return worst["level"], f"{worst['says']} {worst['do']}"


def examine(folder: Path, *arguments: str, **environment: str) -> Examination:
    done = run_gateway(
        "doctor", "--json", *(arguments or ("--offline",)), cwd=folder, environment=environment
    )
    return Examination(done.returncode, json.loads(done.stdout))


def test_a_deployment_with_nothing_wrong_has_no_findings_but_good_ones(folder: Path) -> None:
    examination = examine(folder)
    assert {each["level"] for each in examination.found} == {"ok"}
    assert examination.code == 0


def test_for_people_each_finding_is_a_line_with_what_to_do_below_it(folder: Path, run: Run) -> None:
    (folder / "gateway.db").chmod(0o644)
    done = run("doctor", "--offline")
    assert done.returncode == 1
    assert "PROBLEM  files: " in done.stdout
    assert f"         → chmod 600 {folder / 'gateway.db'}\n" in done.stdout
    assert done.stdout.endswith("1 problems, 0 warnings\n")


def test_a_running_gateway_is_found_and_asked_whether_it_is_ready(played: Played) -> None:
    folder = played.gateway.folder
    before = (folder / "gateway.yaml").read_text()
    config = yaml.safe_load(before)
    config["server"]["port"] = played.gateway.port
    (folder / "doctor.yaml").write_text(yaml.safe_dump(config))
    examination = examine(folder, "--offline", "-c", "doctor.yaml")
    assert examination.worst("gateway")[0] == "ok"
    assert "is ready" in examination.worst("gateway")[1]
    assert played.run("logs", "query", "--trace-id", "first").returncode == 0


def test_a_running_gateway_that_works_on_another_store_is_named(played: Played, folder: Path) -> None:
    configure(folder, server={"port": played.gateway.port})
    level, says = examine(folder, "--offline").worst("gateway")
    assert level == "warning"
    assert f"not on {folder}/gateway.db" in says


def test_a_database_server_that_does_not_answer_is_not_to_be_restored(folder: Path) -> None:
    configure(folder, storage={"url": "postgresql://app@127.0.0.1:1/logs"})
    level, says = examine(folder, "--offline").worst("database")
    assert level == "problem"
    assert "psql postgresql://127.0.0.1:1/logs" in says
    assert "restore" not in says


def test_a_bad_configuration_is_a_matter_of_the_configuration(run: Run, tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("server: {port: many}")
    refused = run("doctor")
    assert refused.returncode == 2
    assert "server.port" in refused.stderr


def _insert_from_tomorrow(database: Path) -> None:
    connection = sqlite3.connect(database)
    connection.execute("UPDATE requests SET started_at_us = ?", (now_us() + 86_400_000_000,))
    connection.commit()
    connection.close()


def _forget_a_migration(database: Path) -> None:
    connection = sqlite3.connect(database)
    connection.execute("DELETE FROM migrations WHERE number = (SELECT max(number) FROM migrations)")
    connection.commit()
    connection.close()


def _invent_a_migration(database: Path) -> None:
    connection = sqlite3.connect(database)
    connection.execute("INSERT INTO migrations (number, name, applied_at) VALUES (9999, 'x', 'y')")
    connection.commit()
    connection.close()


def _journal(database: Path) -> None:
    journal = GatewayJournal.create(database.with_name("gateway.db.journal"))
    SegmentWriter(journal, 0, 1000).append([encode_record(exchange())])
    # It came a minute ago.
    place = journal.state.words.tolist().index(journal.state.waiting_since_us() or 0)
    journal.state.words[place] -= 60_000_000
    journal.close()


FAULTS: Mapping[str, tuple[Callable[[Path], object], str, str, str]] = {
    "readable by others": (lambda database: database.chmod(0o640), "files", "problem", "chmod 600"),
    "damaged": (
        lambda database: overwrite_root_of(database, "payloads"),
        "database",
        "problem",
        "gateway restore",
    ),
    "of an earlier version": (_forget_a_migration, "database", "warning", "by 1 migrations"),
    "of a newer version": (_invent_a_migration, "database", "problem", "newer version"),
    "no database": (
        lambda database: database.write_bytes(b"x" * 5000),
        "database",
        "problem",
        "not a SQLite",
    ),
    "rows that wait": (_journal, "journal", "warning", "waited for 60 s"),
    "rows from the future": (_insert_from_tomorrow, "clock", "warning", "in the future"),
}
"""What is done to the database; what the finding is about, how bad it is, and a piece of what it says."""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_database_is_named(folder: Path, fault: str) -> None:
    commit, about, level, words = FAULTS[fault]
    commit(folder / "gateway.db")
    examination = examine(folder)
    assert examination.worst(about)[0] == level
    assert words in examination.worst(about)[1]
    assert examination.code == (1 if level == "problem" else 0)


def test_a_store_that_is_not_there_yet_is_no_fault_but_a_folder_that_is_not_is(folder: Path) -> None:
    (folder / "gateway.db").unlink()
    assert examine(folder).code == 0
    configure(folder, storage={"url": "sqlite:///nowhere/gateway.db"})
    assert examine(folder).worst("files") == (
        "problem",
        f"the database's folder {folder}/nowhere does not exist. mkdir -p {folder}/nowhere",
    )


@pytest.mark.parametrize(("mode", "level"), [(0o600, "warning"), (0o644, "problem")])
def test_a_secret_in_the_configuration_is_named_and_not_shown(folder: Path, mode: int, level: str) -> None:
    configure(folder, keys=[{"name": "app", "key": SECRET, "role": "admin"}])
    (folder / "gateway.yaml").chmod(mode)
    examination = examine(folder)
    assert examination.worst("files")[0] == level
    assert "keys.app" in examination.worst("files")[1]
    assert SECRET not in json.dumps(examination.found)
    configure(folder, keys=[{"name": "app", "key": "${APP_KEY}", "role": "admin"}])
    assert examine(folder, APP_KEY=SECRET).worst("files")[0] == "ok"


KEYS: Mapping[str, tuple[dict[str, Any], str, str]] = {
    "none where strangers can come": ({"server": {"host": "0.0.0.0"}}, "problem", "will not start"),
    "off where strangers can come": (
        {"server": {"host": "0.0.0.0", "auth": "off"}}, "warning", "something else keeps strangers out",
    ),
    "short": ({"keys": [{"name": "app", "key": "${SHORT}", "role": "admin"}]}, "warning", "has 4 characters"),
    "nobody may do everything": (
        {"keys": [{"name": "app", "key": "${LONG}", "role": "proxy"}]}, "warning", "no key has the role admin",
    ),
    "as they should be": ({"keys": [{"name": "ops", "key": "${LONG}", "role": "admin"}]}, "ok", "1 in the conf"),
}  # fmt: skip
"""What the configuration says, how bad that is, and a piece of what is said."""


@pytest.mark.parametrize("case", KEYS)
def test_keys_that_let_in_too_many_or_too_few_are_named(folder: Path, case: str) -> None:
    sections, level, words = KEYS[case]
    configure(folder, **sections)
    found = examine(folder, SHORT="abcd", LONG=SECRET).worst("keys")
    assert found[0] == level
    assert words in found[1]


def test_a_key_in_the_store_counts(folder: Path, run: Run) -> None:
    configure(folder, server={"host": "0.0.0.0"})
    assert run("keys", "create", "ops", "--role", "admin").returncode == 0
    assert examine(folder).worst("keys") == ("ok", "0 in the configuration, 1 in the store None")


def test_a_port_that_another_program_has_is_named(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        configure(folder, server={"port": other.getsockname()[1]})
        found = examine(folder).worst("port")
    assert found[0] == "problem"
    assert "no gateway answers there" in found[1]


def test_too_few_open_files_are_named(folder: Path) -> None:
    command = f"ulimit -n 256; exec {' '.join(COMMAND)} doctor --offline --json"
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=plain_environment(), capture_output=True, text=True
    )
    found = Examination(done.returncode, json.loads(done.stdout)).worst("descriptors")
    assert found[0] == "warning"
    assert "256 files" in found[1]


def test_a_provider_that_cannot_be_reached_is_named(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as provider:
        configure(folder, providers={"up": {"base_url": f"http://127.0.0.1:{provider.getsockname()[1]}/v1"}})
        reached = examine(folder, "-c", "gateway.yaml")
    assert (reached.code, reached.worst("provider up")[0]) == (0, "ok")
    refused = examine(folder, "-c", "gateway.yaml")
    assert (refused.code, refused.worst("provider up")[0]) == (1, "problem")
    configure(folder, providers={"up": {"base_url": "https://provider.invalid/v1"}})
    assert examine(folder, "-c", "gateway.yaml").worst("provider up")[0] == "problem"


def test_a_provider_whose_base_url_ends_in_an_endpoint_is_named_with_what_to_write(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as provider:
        url = f"http://127.0.0.1:{provider.getsockname()[1]}/v1"
        configure(folder, providers={"up": {"base_url": f"{url}/chat/completions"}})
        found = examine(folder, "-c", "gateway.yaml").worst("provider up")
    assert found[0] == "warning"
    assert "ends in an endpoint" in found[1]


# What no test can have: a full disk, one far away, and a provider on another machine.


@pytest.fixture
def deployment(folder: Path) -> Deployment:
    file = folder / "gateway.yaml"
    return Deployment(load_config(file, os.environ), file, folder / "gateway.db", None)


def worst_of(findings: list[Finding]) -> Finding:
    return max(findings, key=lambda each: ("ok", "warning", "problem").index(each.level))


@pytest.mark.parametrize(("free_mib", "level"), [(5000, "ok"), (500, "warning"), (50, "problem")])
def test_a_disk_that_is_nearly_full_is_named(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, free_mib: int, level: str
) -> None:
    usage = shutil.disk_usage("/")._replace(free=free_mib * MIB)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert worst_of(list(storage.check_disk(deployment))).level == level


def test_a_network_file_system_is_named(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = deployment.database.with_name("mounts")
    mounts.write_text(f"disk / ext4 rw 0 0\nhost:/share {deployment.database.parent} nfs4 rw 0 0\n")
    monkeypatch.setattr(storage, "_MOUNTS", mounts)
    found = worst_of(list(storage.check_disk(deployment)))
    assert found.level == "problem"
    assert "(nfs4)" in found.says


def test_a_log_that_somebody_holds_up_is_named(deployment: Deployment) -> None:
    with deployment.database.with_name("gateway.db-wal").open("wb") as log:
        log.truncate(storage.LARGE_WAL_BYTES + 1)
    found = worst_of(list(storage.check_disk(deployment)))
    assert (found.level, "gateway.db-wal has 256 MiB" in found.says) == ("warning", True)


def test_a_provider_elsewhere_that_is_called_in_clear_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(folder, providers={"up": {"base_url": "http://llm.example.com/v1"}})
    monkeypatch.setattr(network, "_connect", lambda *_: None)
    file = folder / "gateway.yaml"
    deployment = Deployment(load_config(file, os.environ), file, folder / "gateway.db", None)
    [found] = network.check_providers(deployment)
    assert (found.level, "not encrypted" in found.says) == ("warning", True)
