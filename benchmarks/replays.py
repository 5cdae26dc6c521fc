"""Replays of logged requests against a real small model that are killed again and again, until all are answered."""

from __future__ import annotations

import itertools
import json
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml

from benchmarks.lineup import Say
from benchmarks.processes import Failed, Server, free_port

REQUESTS = 1_000
_TURNS = 2
_ANSWER_TOKENS = 2
# Dollars for a million tokens; an original is answered by the demo at the same price.
_PRICE = 100.0
# The first budget holds about half of the requests, the last one all of them.
_BUDGETS = (1.5, 100.0)
_FIRST_KILL_SECONDS, _LAST_KILL_SECONDS = 5.0, 25.0
_MODEL, _RUN, _SEED = "small", "proof", 18


@dataclass(frozen=True, slots=True)
class ReplayProof:
    """What became of replayed requests.

    Args:
        twice: requests with more than one whole answer.
        over_budget: times that a finished replay had spent more than its budget.
    """

    requests: int
    kills: int
    once: int
    twice: int
    never: int
    broken_off: int
    over_budget: int
    spent_usd: float
    seconds: float


def measure_replays(folder: Path, say: Say) -> list[ReplayProof]:
    """Log requests, and replay them with kills in between. Raises Failed where a replay fails by itself."""
    folder.mkdir(parents=True)
    with _model(folder) as url:
        port = free_port()
        config = {
            "server": {"port": port},
            "providers": {"llm": {"base_url": url}},
            "prices": {name: {"input": _PRICE, "output": _PRICE} for name in ("demo", "llm/" + _MODEL)},
            "storage": {"url": f"sqlite:///{folder / 'gateway.db'}"},
        }
        (folder / "gateway.yaml").write_text(yaml.safe_dump(config))
        serve = [sys.executable, "-m", "gateway", "serve", "--demo", "-c", str(folder / "gateway.yaml")]
        with Server(serve, port, folder / "gateway.log"):
            say(f"  {REQUESTS:,} requests are logged …")
            _log_requests(port)
            begun = time.perf_counter()
            kills = over = 0
            for budget in _BUDGETS:
                kills += _replay_with_kills(folder, port, budget, say)
                over += _spent(folder) > budget
            seconds = time.perf_counter() - begun
    return [_count(folder, kills, over, seconds)]


@contextmanager
def _model(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.real_llm_server"]
    with (
        (folder / "model.log").open("wb") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        try:
            if not (url := process.stdout.readline().strip()):
                raise Failed("the real model did not start; it takes the extra real-llm")
            yield url
        finally:
            process.terminate()


def _log_requests(port: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        for number in range(REQUESTS):
            session, turn = divmod(number, _TURNS)
            history = [
                {"role": role, "content": f"Turn {earlier} of talk {session}."}
                for earlier in range(turn)
                for role in ("user", "assistant")
            ]
            asked = {"role": "user", "content": f"Say something about the number {number}."}
            body = {"model": "demo", "max_tokens": _ANSWER_TOKENS, "messages": [*history, asked]}
            answered = client.post(
                "/v1/chat/completions", json=body, headers={"x-session-id": f"talk-{session}"}
            )
            answered.raise_for_status()


def _replay_with_kills(folder: Path, port: int, budget: float, say: Say) -> int:
    """Start the replay, and kill it after some seconds, until one comes to its end; return the kills."""
    chance = random.Random(_SEED + budget)
    command = [sys.executable, "-m", "gateway", "replay", "--storage", f"sqlite:///{folder / 'gateway.db'}"]
    command += ["--against", f"@llm/{_MODEL}", "--name", _RUN, "--url", f"http://127.0.0.1:{port}"]
    command += ["--budget", f"{budget:g}", "--parallel", "4"]
    for kills in itertools.count():
        log = folder / f"replay-{budget:g}-{kills}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
        try:
            code = process.wait(chance.uniform(_FIRST_KILL_SECONDS, _LAST_KILL_SECONDS))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            continue
        if code:
            raise Failed(f"the replay failed by itself: {log.read_text()[-500:]}")
        say(f"  ${budget:g}: {kills} kills, ${_spent(folder):.4f} spent")
        return kills
    raise AssertionError("there is no end of counting")


def _rows(folder: Path) -> list[tuple[dict[str, object], str, int]]:
    with sqlite3.connect(f"file:{folder / 'gateway.db'}?mode=ro", uri=True) as store:
        found = store.execute("SELECT metadata, outcome, coalesce(cost_nanousd, 0) FROM requests")
        rows = [(json.loads(metadata or "{}"), outcome, cost) for metadata, outcome, cost in found]
    return [row for row in rows if row[0].get("replay") == _RUN]


def _spent(folder: Path) -> float:
    return sum(cost for _, _, cost in _rows(folder)) / 1e9


def _count(folder: Path, kills: int, over: int, seconds: float) -> ReplayProof:
    rows = _rows(folder)
    answered = Counter(metadata["replay_row"] for metadata, outcome, _ in rows if outcome == "complete")
    times = Counter(answered.values())
    return ReplayProof(
        requests=REQUESTS,
        kills=kills,
        once=times[1],
        twice=sum(times.values()) - times[1],
        never=REQUESTS - len(answered),
        broken_off=sum(outcome != "complete" for _, outcome, _ in rows),
        over_budget=over,
        spent_usd=_spent(folder),
        seconds=seconds,
    )
