"""Cached answers for attempts of a route: what may be cached, under which key, and how an answer is given again."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from gateway.models.cached_answer import CachedAnswer, CacheScope, CacheStatus
from gateway.models.clock import now_us
from gateway.models.exchange import NO_OPT_OUT, Exchange, PayloadPolicy, RawHeaders, first_value
from gateway.models.route import RouteTarget
from gateway.proxy.call import CacheUse, Call
from gateway.routing.cache import AnswerCache
from gateway.routing.providers import Provider
from gateway.upstream.request import OutgoingRequest
from gateway.upstream.response import BodySink
from gateway.wire.json_fields import parse_object

# Calls that a model answers from their body alone: no files, batches, fine-tuning or retrievals.
_CACHED_ENDPOINTS = frozenset(
    {
        "audio.speech", "bedrock.converse", "bedrock.invoke", "chat.completions", "cohere.chat", "cohere.classify",
        "cohere.embed", "cohere.generate", "completions", "dashscope.generation", "embeddings", "ernie.chat",
        "gemini.embed", "gemini.generate", "gemini.interactions", "images", "messages", "moderations", "ocr",
        "ollama.chat", "ollama.embed", "ollama.generate", "rerank", "responses", "tgi.generate",
        "watsonx.generation",
    }
)  # fmt: skip

# Of bodies whose answer comes later, or adds to what a provider keeps.
_STATEFUL_FIELDS = ("background", "conversation")
_STATEFUL_MARKS = tuple(f'"{name}"'.encode() for name in _STATEFUL_FIELDS)
_ASYNC_FIELD = b"x-dashscope-async"

# Beside the body, an answer depends on these fields of a request, and on credentials.
_KEY_FIELDS = frozenset({b"accept", b"accept-encoding", b"content-type", b"content-encoding"})
_KEY_PREFIXES = (b"anthropic-", b"openai-", b"x-goog-")

_REFRESH, _NAMESPACE = b"x-portkey-cache-force-refresh", b"x-portkey-cache-namespace"
_METADATA, _DEBUG = b"x-portkey-metadata", b"x-portkey-debug"

_ENDS_OF_EVENTS = (b"\n\n", b"\r\n\r\n", b"\r\r")


def is_cacheable(call: Call, outgoing: OutgoingRequest) -> bool:
    """Tell whether the answer to an attempt may be kept at all."""
    capture, body = call.capture, outgoing.body
    if outgoing.method != "POST" or capture.endpoint not in _CACHED_ENDPOINTS or not isinstance(body, bytes):
        return False
    # What must not be kept in the log must not be kept here.
    if capture.payloads is not PayloadPolicy.FULL or capture.opt_out != NO_OPT_OUT:
        return False
    if call.head.gateway_values.get(_DEBUG, b"").lower() == b"false" or _is_edit(call):
        return False
    return not any(name.lower() == _ASYNC_FIELD for name, _ in outgoing.headers) and not _is_stateful(body)


def _is_edit(call: Call) -> bool:
    path = call.request.raw_path.partition("?")[0].rstrip("/")
    return call.capture.endpoint == "images" and not path.endswith("/generations")


def _is_stateful(body: bytes) -> bool:
    if not any(mark in body for mark in _STATEFUL_MARKS):
        return False
    asked = parse_object(body) or {}
    return any(asked.get(name) for name in _STATEFUL_FIELDS)


def cache_key(
    call: Call, target: RouteTarget, provider: Provider, outgoing: OutgoingRequest, scope: CacheScope
) -> str:
    """Return what is equal for requests that may get the same answer only."""
    capture, given = call.capture, call.head.gateway_values
    namespace = given.get(_NAMESPACE)
    kind, about = (b"metadata", given.get(_METADATA, b"")) if namespace is None else (b"namespace", namespace)
    assert isinstance(outgoing.body, bytes)
    parts = [
        (capture.tenant or "").encode(),
        (capture.key_name or "").encode() if scope is CacheScope.KEY else b"",
        provider.name.encode(),
        provider.base_url.encode(),
        (target.api_key or "").encode(),
        outgoing.method.encode(),
        outgoing.target.encode("utf-8", "surrogateescape"),
        kind,
        about,
        *_key_fields(call.head.forwarded, provider),
        outgoing.body,
    ]
    # With their lengths, so that no two lists of parts look the same.
    lengths = ",".join([str(len(part)) for part in parts])
    return sha256(b"".join([lengths.encode(), b":", *parts])).hexdigest()


def _key_fields(forwarded: list[tuple[bytes, bytes]], provider: Provider) -> list[bytes]:
    found: list[bytes] = []
    for name, text in forwarded:
        lowered = name.lower()
        # Another account of a caller may see another answer.
        is_credential = lowered in provider.checked_names
        if is_credential or lowered in _KEY_FIELDS or lowered.startswith(_KEY_PREFIXES):
            found.append(lowered + b": " + text)
    return sorted(found)


@dataclass(frozen=True, slots=True)
class ProxyCache:
    """Gives answers again, and keeps new ones."""

    answers: AnswerCache

    async def find(
        self, call: Call, target: RouteTarget, provider: Provider, outgoing: OutgoingRequest
    ) -> "CachedResponse | None":
        """Return the answer to an attempt that is about to be made; note what the cache does for it."""
        rule = target.settings.cache
        assert rule is not None, "only targets with a cache look for answers"
        use = call.cache = CacheUse(CacheStatus.DISABLED)
        if not (rule.reads or rule.writes) or not is_cacheable(call, outgoing):
            return None
        use.key = cache_key(call, target, provider, outgoing, self.answers.settings.scope)
        use.max_age_seconds = rule.max_age_seconds
        if call.head.gateway_values.get(_REFRESH, b"").strip().lower() == b"true":
            use.status, use.keeps_answer = CacheStatus.REFRESH, rule.writes
            self.answers.refresh(use.key)
        else:
            found = await self.answers.find(use.key)
            if found is not None and rule.reads and found.is_valid(now_us(), rule.max_age_seconds):
                use.status = CacheStatus.HIT
                return self._hit(call, found)
            use.status = CacheStatus.MISS
            use.keeps_answer = rule.writes and not _rests(found)
        call.capture.cache_status = use.status.value
        return None

    def keep(self, use: CacheUse, exchange: Exchange) -> None:
        """Keep the answer of an attempt, if the route says so and it is good."""
        if use.keeps_answer:
            self.answers.keep(use.key, exchange, use.max_age_seconds)

    def _hit(self, call: Call, answer: CachedAnswer) -> "CachedResponse":
        response = CachedResponse(answer)
        capture = call.capture
        capture.cache_status, capture.cache_source_request_id = CacheStatus.HIT.value, answer.request_id
        capture.add_response_head(response.status, response.headers)
        return response


def _rests(found: CachedAnswer | None) -> bool:
    return found is not None and found.rests_until_us is not None and now_us() < found.rests_until_us


class CachedResponse:
    """A cached answer as a response: its bytes in the pieces of its events, all of them there."""

    status = 200
    reason = b"OK"

    def __init__(self, answer: CachedAnswer) -> None:
        age = max(0, (now_us() - answer.created_at_us) // 1_000_000)
        self.headers: RawHeaders = (*answer.headers, (b"age", b"%d" % age))
        length = first_value(answer.headers, b"content-length")
        self.content_length = int(length) if length.isdigit() else None
        # The last first.
        self._pieces = _split(answer)[::-1]

    @property
    def is_unread(self) -> bool:
        return bool(self._pieces)

    def is_finished(self) -> bool:
        return not self._pieces

    async def read(self) -> bytes:
        return self._pieces.pop() if self._pieces else b""

    async def forward_to(self, sink: BodySink) -> None:
        while self._pieces:
            if not sink(self._pieces.pop()):
                return

    def close(self) -> None:
        self._pieces = []


def _split(answer: CachedAnswer) -> list[bytes]:
    # What has a length came in one piece, or might have.
    if first_value(answer.headers, b"content-length"):
        return [answer.body] if answer.body else []
    kind = first_value(answer.headers, b"content-type").lower()
    if first_value(answer.headers, b"content-encoding").lower() not in (b"", b"identity"):
        return [answer.body]
    if kind.startswith(b"text/event-stream"):
        mark = next((mark for mark in _ENDS_OF_EVENTS if mark in answer.body), b"\n\n")
        return list(_split_after(mark, answer.body))
    if b"ndjson" in kind:
        return list(_split_after(b"\n", answer.body))
    return [answer.body] if answer.body else []


def _split_after(mark: bytes, body: bytes) -> Iterator[bytes]:
    start = 0
    while (end := body.find(mark, start)) >= 0:
        yield body[start : end + len(mark)]
        start = end + len(mark)
    if start < len(body):
        yield body[start:]
