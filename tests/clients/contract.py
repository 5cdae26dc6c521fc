"""One call of a client library: what the upstream plays to it, and what the gateway says of it afterwards."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from tests.gateway_process import RunningGateway
from tests.log_reader import eventually
from tests.scripted_upstream import Received, UpstreamProcess
from tests.upstream_server import Step

GATEWAY_KEY = "gw-client-0123456789"
PROVIDER_KEY = "sk-provider-0123456789"

EVERY_CLIENT = "EVERY_CLIENT"
"""Set where a missing client is a failure: in `make clients`."""


def library(name: str) -> Any:
    """Import a client library for the module that asks; without it the module's tests are skipped."""
    return importlib.import_module(name) if os.environ.get(EVERY_CLIENT) else pytest.importorskip(name)


class Contract:
    """A gateway in front of an upstream that plays one answer, and what is logged of the call that gets it."""

    def __init__(self, gateway: RunningGateway, upstream: UpstreamProcess) -> None:
        self.url = gateway.url
        self._upstream = upstream
        self._api = httpx.Client(base_url=f"{gateway.url}/api/v1", headers={"x-api-key": GATEWAY_KEY})
        self._known: set[str] = set()

    def play(self, steps: Sequence[Step]) -> None:
        """Have the upstream play this to whatever comes next."""
        self._upstream.take()
        self._upstream.default(*steps)
        self.begin()

    def begin(self) -> None:
        """Begin a call: what was logged before is not its."""
        self._known = {row["request_id"] for row in self._listed()}

    def gate(self) -> str:
        """Return a gate at which a script may wait."""
        return self._upstream.name()

    def open(self, gate: str) -> None:
        """Let the script that waits there go on."""
        self._upstream.open(gate)

    def received(self) -> Received:
        """The only request that came upstream since `play`."""
        [request] = self._upstream.take()
        return request

    def rows(self, count: int) -> list[dict[str, Any]]:
        """Return the rows of this call, the earliest first, once they are understood."""

        def understood() -> list[dict[str, Any]]:
            new = [row for row in self._listed() if row["request_id"] not in self._known]
            return new if len(new) >= count and all(row["interpreted_at"] for row in new) else []

        found = eventually(understood)
        assert len(found) == count
        return [self._read(f"requests/{row['request_id']}") for row in reversed(found)]

    def row(self, **expected: object) -> dict[str, Any]:
        """Return the only row of this call; it must say what is expected."""
        [row] = self.rows(1)
        assert {name: row[name] for name in expected} == expected
        return row

    def complete_row(self, **expected: object) -> dict[str, Any]:
        """Return the only call that was logged, which must have gone well, cost something and say the rest."""
        row = self.row(**{"outcome": "complete", "status": 200, "note": None, **expected})
        assert row["cost_nanousd"] is not None
        assert self.errors(row) == 0
        return row

    def failed_row(self, outcome: str, **expected: object) -> dict[str, Any]:
        """Return the only call that was logged, which must have ended so and count as an error."""
        row = self.row(outcome=outcome, **expected)
        assert self.errors(row) == 1
        return row

    def errors(self, row: dict[str, Any]) -> int:
        """How many errors the figures of a call's trace count."""
        [figures] = self._read("aggregates", trace_id=row["trace_id"])["data"]
        return int(figures["errors"])

    def vote(self, subject_id: str, row: dict[str, Any]) -> None:
        """Give feedback on an id that a library shows; it must be joined to this call."""
        reply = httpx.post(
            f"{self.url}/v1/feedback",
            headers={"x-api-key": GATEWAY_KEY},
            json={"trace_id": subject_id, "value": 3},
        )
        reply.raise_for_status()
        self.joined(subject_id, row)

    def joined(self, subject_id: str, row: dict[str, Any]) -> None:
        """Check that the only feedback on a call is joined to it by this id, with the value 3."""
        entries = self._read(f"requests/{row['request_id']}")["feedback"]
        found = [(entry["subject_id"], entry["value"], entry["joined_at"] is not None) for entry in entries]
        assert found == [(subject_id, 3, True)]

    def close(self) -> None:
        """Give up the connection to the gateway's own API."""
        self._api.close()

    def _listed(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._read("requests", limit=20)["data"]
        return found

    def _read(self, path: str, **parameters: str | int) -> Any:
        return self._api.get(path, params=parameters).raise_for_status().json()
