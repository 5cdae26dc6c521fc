"""ProviderState: requests that name what one provider keeps, such as an earlier response, go to who keeps it."""

import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from gateway.models.exchange import value_class
from gateway.models.route import ResponseMaker, Route, RouteTarget
from gateway.wire.json_fields import JsonObject, object_in, objects_in, parse_object, text_in

# Responses whose targets are known without a look into the store.
MAX_KNOWN_RESPONSES = 10_000

# Names of what OpenAI's API keeps; the ids of others than responses are in no row.
_IN_PATH = re.compile(
    r"/(?:responses/(?P<response>resp_[^/?]+)|(?:conversations|files|batches|vector_stores|uploads|videos|threads)/[^/?]+)"
)
_IN_BODY = (b'"previous_response_id"', b'"conversation"', b'"encrypted_content"', b'"file_id"')


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
    if not isinstance(body, bytes) or not any(mark in body for mark in _IN_BODY):
        return None
    params = parse_object(body)
    return None if params is None else _named_in(params)


def _named_in(params: JsonObject) -> NamedState | None:
    if (previous := text_in(params, "previous_response_id")) is not None:
        return NamedState("it continues a response", previous)
    if text_in(params, "conversation") or object_in(params, "conversation"):
        return NamedState("it continues a conversation")
    items = [*objects_in(params, "input"), *objects_in(params, "messages")]
    parts = [part for item in items for part in objects_in(item, "content")]
    if any("encrypted_content" in each for each in items):
        return NamedState("it brings reasoning that its provider encrypted")
    if any("file_id" in each or "file_id" in object_in(each, "file") for each in parts):
        return NamedState("it names a file")
    return None


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
