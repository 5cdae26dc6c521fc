"""ProviderState: requests that name what one provider keeps, such as an earlier response, go to who keeps it."""

import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from gateway.models.exchange import value_class
from gateway.models.route import ResponseMaker, Route, RouteTarget
from gateway.wire.json_fields import JsonObject, parse_object, text_in

# Responses whose targets are known without a look into the store.
MAX_KNOWN_RESPONSES = 10_000

# Names of what APIs keep; the ids of others than responses are in no row.
_IN_PATH = re.compile(
    r"/(?:responses/(?P<response>resp_[^/?]+)|chat/completions/[^/?]+"
    r"|(?:conversations|files|batches|containers|vector_stores|uploads|videos|threads|assistants|jobs)/[^/?]+)"
)
# Each has one value, or a list of them, anywhere in the body.
_PREVIOUS, _CONVERSATION, _ENCRYPTED = "previous_response_id", "conversation", "encrypted_content"
_FILES = ("file_id", "file_ids", "input_file_id", "training_file", "validation_file", "vector_store_ids")
_ITEM_REFERENCE = "item_reference"
_MARKS = re.compile("|".join((_PREVIOUS, _CONVERSATION, _ENCRYPTED, _ITEM_REFERENCE, *_FILES)).encode())
# Bodies are looked through to this depth: tools hold containers, messages parts, parts sources.
_MAX_DEPTH = 6


@value_class()
class NamedState:
    """What a request names that one provider alone has.

    Args:
        what: as a phrase.
        response_id: of the response that it continues or asks for, by which its maker can be found.
    """

    what: str
    response_id: str | None = None


# From the id of a response and the tenant that asks to who gave it.
FindMaker = Callable[[str, str | None], Awaitable[ResponseMaker | None]]


def read_named_state(path: str, body: object) -> NamedState | None:
    """Return what a request names that one provider keeps; None for most requests."""
    if (found := _IN_PATH.search(path)) is not None:
        response_id = found["response"]
        return NamedState("the path names what a provider keeps", response_id)
    if not isinstance(body, bytes) or _MARKS.search(body) is None:
        return None
    params = parse_object(body)
    return None if params is None else _named_in(params)


def _named_in(params: JsonObject) -> NamedState | None:
    if (previous := text_in(params, _PREVIOUS)) is not None:
        return NamedState("it continues a response", previous)
    if params.get(_CONVERSATION):
        return NamedState("it continues a conversation")
    for found in _objects_below(params, _MAX_DEPTH):
        if found.get(_ENCRYPTED):
            return NamedState("it brings reasoning that its provider encrypted")
        if found.get("type") == _ITEM_REFERENCE:
            return NamedState("it names an item of an earlier response")
        if any(found.get(name) for name in _FILES):
            return NamedState("it names a file")
    return None


def _objects_below(value: object, depth: int) -> Iterator[JsonObject]:
    if isinstance(value, dict):
        yield value
    if depth and isinstance(value, dict | list):
        for member in value.values() if isinstance(value, dict) else value:
            yield from _objects_below(member, depth - 1)


async def _find_nobody(response_id: str, tenant: str | None) -> ResponseMaker | None:
    return None


@dataclass(slots=True)
class ProviderState:
    """Finds the target of a route that keeps what a request names."""

    find_maker: FindMaker = _find_nobody
    _known: OrderedDict[tuple[str | None, str], ResponseMaker] = field(
        default_factory=OrderedDict, init=False
    )

    async def find_target(self, route: Route, named: NamedState, tenant: str | None) -> RouteTarget | None:
        """Return the target that gave the response; None where nobody knows."""
        if named.response_id is None:
            return None
        key = (tenant, named.response_id)
        maker = self._known.get(key) or await self.find_maker(named.response_id, tenant)
        if maker is None:
            return None
        self._known[key] = maker
        if len(self._known) > MAX_KNOWN_RESPONSES:
            self._known.popitem(last=False)
        of_provider = [leaf for leaf in route.leaves if leaf.provider == maker.provider]
        named_so = [leaf for leaf in of_provider if maker.target in (leaf.name, leaf.path)]
        return next(iter([*named_so, *of_provider]), None)
