"""Plan of the demo data: who asked what, when, of which model, and how it went; the same for the same end."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar

from gateway.demo.content import (
    TEAMS,
    Scenario,
    ToolUse,
    choose_scenarios,
    count_tokens,
    fill,
    gist_of,
    read_setting,
)
from gateway.models.request import DEMO_METADATA_KEY, DEMO_REQUEST_ID

# In the metadata of the oldest row: when the demo data ends, in microseconds since the epoch.
DEMO_END_KEY = "demo_ends_at_us"

DEFAULT_REQUESTS = 3_000

T = TypeVar("T")

_SEED = 20_260_101
_SECOND_US = 1_000_000
_WEEK_SECONDS = 7 * 24 * 3600
# Of the sessions, this share is from the last hour, whatever the time of day.
_RECENT_SHARE = 0.01

# So many of the reference's paragraphs are about what customers ask.
_POLICY_PARAGRAPHS = 10
_LANGUAGES = (("en", 74), ("de", 12), ("ja", 8), ("ar", 6))

# By hour of the day in UTC: quiet nights, a dip at noon.
_HOUR_WEIGHTS = (2, 1, 1, 1, 2, 4, 10, 24, 48, 62, 66, 60, 44, 56, 64, 60, 50, 34, 22, 16, 12, 9, 6, 3)
_WEEKEND_FACTOR = 0.22


class Api(StrEnum):
    """Which API of a provider is called."""

    CHAT = "chat.completions"
    MESSAGES = "messages"
    RESPONSES = "responses"
    GEMINI = "gemini.generate"
    EMBEDDINGS = "embeddings"


class Failure(StrEnum):
    """How a request fails; the last two cut a stream."""

    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    TRUNCATED = "truncated"
    CLIENT_CLOSED = "client_closed"


_CUTS = (Failure.TRUNCATED, Failure.CLIENT_CLOSED)
# A thousand requests have about so many.
_FAILURE_WEIGHTS = {
    Failure.RATE_LIMITED: 12,
    Failure.SERVER_ERROR: 7,
    Failure.TIMEOUT: 5,
    Failure.TRUNCATED: 12,
    Failure.CLIENT_CLOSED: 20,
}


@dataclass(frozen=True, slots=True)
class Route:
    """A model behind an API, and how fast it is.

    Args:
        snapshot: the model as the answer names it.
        stream_share: how many of its calls are streams.
    """

    provider: str
    api: Api
    model: str
    snapshot: str
    stream_share: float
    first_byte_ms: float
    tokens_a_second: float
    is_reasoning: bool = False


_MINI = Route("demo-openai", Api.CHAT, "gpt-4o-mini", "gpt-4o-mini-2024-07-18", 0.7, 420, 95)
_CHAT = Route("demo-openai", Api.CHAT, "gpt-4.1", "gpt-4.1-2025-04-14", 0.5, 610, 70)
_REASONER = Route("demo-openai", Api.CHAT, "gpt-5-mini", "gpt-5-mini-2025-08-07", 0.4, 1_900, 85, True)
_RESPONSES = Route("demo-openai", Api.RESPONSES, "gpt-4.1", "gpt-4.1-2025-04-14", 0.0, 640, 70)
_HAIKU = Route("demo-anthropic", Api.MESSAGES, "claude-haiku-4-5", "claude-haiku-4-5-20251001", 0.8, 510, 110)
_SONNET = Route(
    "demo-anthropic", Api.MESSAGES, "claude-sonnet-4-5", "claude-sonnet-4-5-20250929", 0.6, 980, 62
)
_THINKER = replace(_SONNET, first_byte_ms=1_400, is_reasoning=True)
_GEMINI = Route("demo-google", Api.GEMINI, "gemini-2.5-flash", "gemini-2.5-flash", 0.5, 460, 120)
_EMBEDDER = Route(
    "demo-openai", Api.EMBEDDINGS, "text-embedding-3-small", "text-embedding-3-small", 0.0, 90, 9_000
)


@dataclass(frozen=True, slots=True)
class Team:
    """What a team uses, and how much.

    Args:
        share: of all sessions.
        people: of the users, those from this to that position.
        routes: with their weights.
        versions: of its prompt, with their weights.
        most_turns: in a session.
    """

    share: float
    people: tuple[int, int]
    prompt: str | None
    versions: tuple[tuple[str, int], ...]
    routes: tuple[tuple[Route, int], ...]
    most_turns: int


_TEAMS = {
    "support": Team(
        0.45,
        (0, 52),
        "support-reply",
        (("v1", 46), ("v2", 46), ("v3", 8)),
        ((_MINI, 45), (_CHAT, 15), (_HAIKU, 25), (_GEMINI, 15)),
        6,
    ),
    "sales": Team(
        0.22,
        (52, 80),
        "sales-writer",
        (("v1", 50), ("v2", 50)),
        ((_RESPONSES, 40), (_CHAT, 30), (_SONNET, 30)),
        6,
    ),
    "legal": Team(
        0.15,
        (80, 98),
        "contract-summary",
        (("v1", 40), ("v2", 60)),
        ((_THINKER, 60), (_REASONER, 25), (_GEMINI, 15)),
        5,
    ),
    "engineering": Team(0.18, (98, 120), None, (("", 1),), ((_SONNET, 55), (_REASONER, 45)), 5),
}

# How many answers are bad, by prompt and version: of one prompt the second version is visibly better.
_BAD_SHARES = {
    "support-reply/v1": 0.56,
    "support-reply/v2": 0.08,
    "support-reply/v3": 0.18,
    "sales-writer/v1": 0.25,
    "sales-writer/v2": 0.22,
    "contract-summary/v1": 0.18,
    "contract-summary/v2": 0.23,
    "engineering": 0.2,
}


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and its answer.

    Args:
        messages: role and text of the conversation so far; the question is the last.
        is_first: whether the conversation begins here.
    """

    scenario: Scenario
    answer: str
    is_good: bool
    messages: tuple[tuple[str, str], ...]
    is_first: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoCall:
    """One request of the demo data. Times are in microseconds.

    Args:
        tool_uses: of its trace, so far; `next_tool` is what the answer calls.
    """

    request_id: str
    trace_id: str
    span_id: str
    parent_span_id: str | None = None
    span_name: str
    team: str
    metadata: dict[str, object]
    route: Route
    turn: Turn
    is_stream: bool
    started_at_us: int
    first_byte_us: int
    duration_us: int
    reasoning_tokens: int = 0
    instructions: str = ""
    tool_uses: tuple[ToolUse, ...] = ()
    next_tool: ToolUse | None = None
    failure: Failure | None = None
    client_retry: int = 0

    @property
    def prompt_version(self) -> str:
        return f"{self.metadata.get('_prompt')}/{self.metadata.get('_prompt_version')}"

    @property
    def user(self) -> str:
        return str(self.metadata["_user"])

    @property
    def session(self) -> str:
        return str(self.metadata["_session"])


def plan_traffic(ends_at_us: int, requests: int = DEFAULT_REQUESTS) -> list[DemoCall]:
    """Return the requests of the week before `ends_at_us`, oldest first."""
    rng = random.Random(_SEED)
    calls: list[DemoCall] = []
    while len(calls) < requests:
        session = _Session(rng, _start_time(rng, ends_at_us), ends_at_us)
        ended = [call for call in session.calls() if call.started_at_us + call.duration_us < ends_at_us]
        calls += ended[: requests - len(calls)]
    calls.sort(key=lambda call: call.started_at_us)
    marked = {**calls[0].metadata, DEMO_END_KEY: ends_at_us}
    return [replace(calls[0], request_id=DEMO_REQUEST_ID, metadata=marked), *calls[1:]]


def _start_time(rng: random.Random, ends_at_us: int) -> int:
    if rng.random() < _RECENT_SHARE:
        return ends_at_us - int(rng.uniform(300, 3_300) * _SECOND_US)
    while True:
        at_us = ends_at_us - int(rng.uniform(120, _WEEK_SECONDS) * _SECOND_US)
        at = datetime.fromtimestamp(at_us / _SECOND_US, UTC)
        weight = _HOUR_WEIGHTS[at.hour] * (_WEEKEND_FACTOR if at.weekday() >= 5 else 1)
        if rng.uniform(0, max(_HOUR_WEIGHTS)) < weight:
            return at_us


class _Session:
    """A conversation of one user, made turn by turn."""

    def __init__(self, rng: random.Random, starts_at_us: int, ends_at_us: int) -> None:
        self._rng, self._at_us, self._ends_at_us = rng, starts_at_us, ends_at_us
        [self._team] = rng.choices(TEAMS, [_TEAMS[name].share for name in TEAMS])
        self._rules = _TEAMS[self._team]
        self._route = _weighted(rng, self._rules.routes)
        self._history: tuple[tuple[str, str], ...] = ()
        self._metadata = self._new_metadata()
        self._quality_key = (
            f"{self._rules.prompt}/{self._metadata['_prompt_version']}" if self._rules.prompt else self._team
        )
        self._instructions = self._new_instructions()

    def calls(self) -> Iterator[DemoCall]:
        language = _weighted(self._rng, _LANGUAGES)
        turns = self._rng.randint(1, self._rules.most_turns)
        for scenario in choose_scenarios(self._rng, self._team, language, turns):
            is_good = self._rng.random() >= _BAD_SHARES[self._quality_key]
            answer = scenario.good if is_good else scenario.bad
            yield from self._trace(scenario, answer, is_good)
            if (
                is_good
                and scenario.kind == "text"
                and scenario.language == "en"
                and self._rng.random() < 0.25
            ):
                question, answer = self._follow_up(answer)
                asked = replace(scenario, question=question, good=answer, kind="follow_up")
                yield from self._trace(asked, answer, is_good)
            if self._at_us > self._ends_at_us:
                return

    def _new_metadata(self) -> dict[str, object]:
        rng, setting = self._rng, read_setting()
        first, last = self._rules.people
        # Some people use it much more than others.
        person = first + min(int(rng.expovariate(4 / (last - first))), last - first - 1)
        names, surnames = setting.first_names, setting.last_names
        version = _weighted(rng, self._rules.versions)
        prompt = {"_prompt": self._rules.prompt, "_prompt_version": version} if self._rules.prompt else {}
        return {
            "_user": f"{names[person % len(names)]}.{surnames[person // len(names)]}",
            "_organisation": setting.organisations[person % len(setting.organisations)],
            "_environment": "staging" if version == "v3" or rng.random() < 0.1 else "production",
            "_session": f"{self._team}-{_hex(rng, 12)}",
            "team": self._team,
            **prompt,
            DEMO_METADATA_KEY: True,
        }

    def _new_instructions(self) -> str:
        setting = read_setting()
        # Long ones are read from the provider's cache.
        is_whole = self._team == "legal" or self._quality_key.endswith("/v3")
        quoted = (
            setting.reference if is_whole else self._rng.sample(setting.reference[:_POLICY_PARAGRAPHS], 3)
        )
        if self._team in ("engineering", "sales"):
            quoted = setting.conventions if self._team == "engineering" else ()
        return "\n\n".join([setting.instructions[self._quality_key], *quoted])

    def _follow_up(self, answer: str) -> tuple[str, str]:
        question, template = self._rng.choice(read_setting().follow_ups)
        return question, fill(template, {"gist": gist_of(answer)})

    def _trace(self, scenario: Scenario, answer: str, is_good: bool) -> Iterator[DemoCall]:
        question = ("user", scenario.question)
        uses = self._tool_uses(scenario.tool, is_good) if scenario.tool else []
        steps: list[tuple[str, Route, ToolUse | None]] = [("write answer", self._route, None)]
        if uses:
            steps = [*(("call tool", self._route, use) for use in uses), ("report", self._route, None)]
        elif self._team == "support" and self._rng.random() < 0.45:
            steps.insert(0, ("find policy", _EMBEDDER, None))
        turn = Turn(scenario, answer, is_good, (*self._history[-4:], question), not self._history)
        trace_id, parent = _hex(self._rng, 32), None
        done: tuple[ToolUse, ...] = ()
        for name, route, tool in steps:
            call = self._call(turn, name, route)
            call = replace(call, trace_id=trace_id, parent_span_id=parent, tool_uses=done, next_tool=tool)
            tries = self._tries(call)
            yield from tries
            if tries[-1].failure is not None:
                return
            parent = parent or call.span_id
            done = done if tool is None else (*done, tool)
        self._history = (*self._history, question, ("assistant", answer))
        self._at_us += int(self._rng.lognormvariate(4.2, 0.8) * _SECOND_US)

    def _tool_uses(self, tool: ToolUse, is_good: bool) -> list[ToolUse]:
        reads = [
            ToolUse("read_file", json.dumps({"path": path}), f"{lines} lines")
            for path, lines in (("README.md", 84), ("app.py", 212), ("tests/test_app.py", 340))
        ]
        # A bad answer did not use the tools enough.
        return [*reads[: self._rng.randint(0, 3)], tool] if is_good else reads[: self._rng.randint(0, 1)]

    def _call(self, turn: Turn, name: str, route: Route) -> DemoCall:
        rng = self._rng
        reasoning = int(rng.lognormvariate(5.6, 0.7)) if route.is_reasoning else 0
        first_byte = rng.lognormvariate(0, 0.4) * route.first_byte_ms * 1_000
        tokens = reasoning + count_tokens(turn.answer)
        whole = first_byte + tokens / route.tokens_a_second * _SECOND_US * rng.lognormvariate(0, 0.2)
        is_stream = rng.random() < route.stream_share
        started_at_us = self._at_us
        self._at_us += int(whole) + rng.randint(4_000, 90_000)
        return DemoCall(
            request_id=_time_ordered_id(rng, started_at_us),
            trace_id="",
            span_id=_hex(rng, 16),
            span_name=name,
            team=self._team,
            metadata=self._metadata,
            route=route,
            turn=turn,
            is_stream=is_stream,
            started_at_us=started_at_us,
            first_byte_us=int(first_byte if is_stream else whole - 1_500),
            duration_us=int(whole),
            reasoning_tokens=reasoning,
            instructions=self._instructions,
        )

    def _tries(self, call: DemoCall) -> list[DemoCall]:
        """Return a call, or that it failed, and how its client tried again where it does."""
        failure = self._choose_failure(call)
        if failure is None:
            return [call]
        tries = [_shorten(replace(call, failure=failure), failure)]
        if failure in (Failure.RATE_LIMITED, Failure.SERVER_ERROR):
            tries.append(self._again(call, tries[0].started_at_us + tries[0].duration_us))
        ended_at_us = tries[-1].started_at_us + tries[-1].duration_us
        self._at_us = max(self._at_us, ended_at_us + self._rng.randint(4_000, 90_000))
        return tries

    def _again(self, call: DemoCall, failed_at_us: int) -> DemoCall:
        at_us = failed_at_us + self._rng.randint(600_000, 2_500_000)
        name, span = _time_ordered_id(self._rng, at_us), _hex(self._rng, 16)
        return replace(call, request_id=name, span_id=span, started_at_us=at_us, client_retry=1)

    def _choose_failure(self, call: DemoCall) -> Failure | None:
        per_mille = self._rng.uniform(0, 1_000)
        for failure, weight in _FAILURE_WEIGHTS.items():
            per_mille -= weight
            if per_mille < 0:
                return failure if call.is_stream or failure not in _CUTS else None
        return None


def _shorten(call: DemoCall, failure: Failure) -> DemoCall:
    if failure is Failure.TIMEOUT:
        return replace(call, duration_us=60 * _SECOND_US, first_byte_us=60 * _SECOND_US)
    if failure in _CUTS:
        return replace(call, duration_us=(call.first_byte_us + call.duration_us) // 2)
    return replace(call, duration_us=call.first_byte_us // 3, first_byte_us=call.first_byte_us // 3)


def _weighted(rng: random.Random, options: Sequence[tuple[T, int]]) -> T:
    return rng.choices([option for option, _ in options], [weight for _, weight in options])[0]


def _hex(rng: random.Random, digits: int) -> str:
    return f"{rng.getrandbits(4 * digits):0{digits}x}"


def _time_ordered_id(rng: random.Random, at_us: int) -> str:
    """Return a UUIDv7 of a time (RFC 9562, section 5.7)."""
    rest = _hex(rng, 18)
    head = f"{at_us // 1000:012x}"
    return f"{head[:8]}-{head[8:]}-7{rest[:3]}-{8 + int(rest[3], 16) % 4:x}{rest[4:7]}-{rest[6:18]}"
