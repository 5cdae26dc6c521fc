"""ConversationReader: what a request says, and the requests of a session as one conversation without repeats."""

import asyncio
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.errors import NotFound
from gateway.models.conversation import (
    Conversation,
    Media,
    Message,
    OtherPart,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from gateway.models.filters import AllOf, AnyOf, Comparison, Filter, Op, Page, Sort
from gateway.models.request import Payload, RequestRecord
from gateway.query.requests import LoggedRequest, RequestReader, batches, conversation_of
from gateway.store.base import Queries

# Start and `seq` of the last request of the page before.
TurnCursor = tuple[int, int]

# Requests before a page that its first requests may repeat.
_EARLIER_REQUESTS = 20

# Bytes of bodies, as sent, of a page, and of those that are read at a time.
_PAGE_BYTES = 64 * 1024 * 1024
_BATCH_BYTES = 4 * 1024 * 1024

# Conversations that may go on side by side, as those of several agents do.
_MAX_PATHS = 50

# Fewer parts in common at the cut of a shortened history are a coincidence.
_LEAST_OVERLAP = 2

_IN_ORDER = Sort("started_at_us", descending=False, then=Sort("seq", descending=False))
_LATEST_FIRST = Sort("started_at_us", then=Sort("seq"))


@dataclass(frozen=True, slots=True)
class SessionStep:
    """A request of a session: what is new in it, and how many parts of it repeat what was said before.

    Args:
        asked: new messages of the request; what was answered elsewhere is among them.
    """

    record: RequestRecord
    asked: tuple[Message, ...]
    answered: tuple[Message, ...]
    repeated: int


@dataclass(frozen=True, slots=True)
class SessionSteps:
    """A page of a session, oldest first; `next_cursor` is None on the last page."""

    steps: tuple[SessionStep, ...]
    next_cursor: TurnCursor | None


class ConversationReader:
    def __init__(self, store: Queries) -> None:
        self._store = store
        self._requests = RequestReader(store)

    async def show(
        self, any_id: str, tenant: str | None, trace_id: str | None, row: int | None
    ) -> tuple[LoggedRequest, Conversation]:
        """Return a request by our id or the provider's. Raises NotFound, Ambiguous."""
        logged = await self._requests.show(any_id, tenant, trace_id, row)
        return logged, await asyncio.to_thread(logged.conversation)

    async def show_session(
        self, session: str, limit: int, after: TurnCursor | None, tenant: str | None
    ) -> SessionSteps:
        """Return the next requests of a session. Raises NotFound."""
        of_session = Comparison("session", Op.EQ, session)
        following = AllOf((of_session, _beyond(after, Op.GT)))
        found = await self._store.find_requests(following, _IN_ORDER, Page(limit + 1), tenant)
        if not found and after is None:
            raise NotFound(f"there is no session {session!r}.", field="session")
        shown = next(batches(found[:limit], _PAGE_BYTES), [])
        history = _History()
        if after is not None:
            earlier = AllOf((of_session, _beyond(after, Op.LE)))
            before = await self._store.find_requests(earlier, _LATEST_FIRST, Page(_EARLIER_REQUESTS), tenant)
            await self._follow(before[::-1], history)
        steps = await self._follow(shown, history)
        cursor = (shown[-1].started_at_us, shown[-1].seq) if len(found) > len(shown) else None
        return SessionSteps(tuple(steps), cursor)

    async def _follow(self, records: Sequence[RequestRecord], history: "_History") -> list[SessionStep]:
        steps: list[SessionStep] = []
        for batch in batches(records, _BATCH_BYTES):
            payloads = await self._store.payloads([record.seq for record in batch])
            # Other callers' streams share the event loop.
            steps += await asyncio.to_thread(_steps, batch, payloads, history)
        return steps


def _beyond(place: TurnCursor | None, op: Op) -> Filter:
    if place is None:
        return AllOf()
    time_us, seq = place
    strictly = Op.GT if op is Op.GT else Op.LT
    same_time = AllOf((Comparison("started_at_us", Op.EQ, time_us), Comparison("seq", op, seq)))
    return AnyOf((Comparison("started_at_us", strictly, time_us), same_time))


def _steps(
    records: Sequence[RequestRecord], payloads: Mapping[int, Payload], history: "_History"
) -> list[SessionStep]:
    return [history.step(record, conversation_of(record, payloads.get(record.seq))) for record in records]


# What makes a part the same as another.
_Key = tuple[str, Hashable]


class _History:
    """What was said in a session so far, along each conversation in it."""

    def __init__(self) -> None:
        self._paths: list[list[_Key]] = []
        self._instructions: set[tuple[_Key, ...]] = set()

    def step(self, record: RequestRecord, said: Conversation) -> SessionStep:
        """Return what is new in the next request, and remember it."""
        turns = [message for message in said.input if message.role != "system"]
        keys = [key for message in turns for key in _keys_of(message)]
        repeated = max((_overlap(path, keys) for path in self._paths), default=0)
        answer = said.output[0] if said.output else None
        self._remember([*keys, *(_keys_of(answer) if answer else ())])
        asked = (*self._new_instructions(said), *_without_first(turns, repeated))
        return SessionStep(record, asked, said.output, repeated)

    def _new_instructions(self, said: Conversation) -> Iterator[Message]:
        for message in said.input:
            keys = tuple(_keys_of(message))
            if message.role == "system" and keys not in self._instructions:
                self._instructions.add(keys)
                yield message

    def _remember(self, path: list[_Key]) -> None:
        others = [known for known in self._paths if known != path[: len(known)]]
        self._paths = [path, *others][:_MAX_PATHS]


def _overlap(path: list[_Key], keys: list[_Key]) -> int:
    """Return how many of the first keys repeat a path: from its beginning, or its end if the rest was cut off."""
    common = 0
    for known, key in zip(path, keys, strict=False):
        if known != key:
            break
        common += 1
    # The longest end comes first.
    for start in range(1, len(path) - max(common, _LEAST_OVERLAP - 1)):
        length = len(path) - start
        if path[start:] == keys[:length]:
            return length
    return common


def _without_first(messages: Sequence[Message], number: int) -> Iterator[Message]:
    for message in messages:
        own = len(_keys_of(message))
        if number <= 0:
            yield message
        elif own > number:
            yield replace(message, parts=_without_first_parts(message.parts, number))
        number -= own


def _without_first_parts(parts: Sequence[Part], number: int) -> tuple[Part, ...]:
    compared = [index for index, part in enumerate(parts) if not isinstance(part, Reasoning)]
    return tuple(parts[compared[number] :])


def _keys_of(message: Message) -> list[_Key]:
    # Few callers send a model's reasoning back.
    return [(message.role, _key_of(part)) for part in message.parts if not isinstance(part, Reasoning)]


def _key_of(part: Part) -> Hashable:
    match part:
        case Text(content) | Refusal(content):
            return content.strip()
        case ToolCall(call_id, name, arguments):
            return (call_id, name, arguments)
        case ToolResult(call_id, content, name):
            return (call_id, tuple(map(_key_of, content)), name)
        case Media() | OtherPart() | Reasoning():
            return part
