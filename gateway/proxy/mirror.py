"""The mirror of a route: a share of its requests goes to a second target too, whose answers reach the log alone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import structlog

from gateway.errors import UpstreamError
from gateway.models.exchange import Exchange, Identity, Outcome, PayloadPolicy, is_model_call
from gateway.models.ids import content_id, new_id
from gateway.models.route import MIRROR_OF, Mirror
from gateway.proxy.call import Call
from gateway.proxy.errors import note_failure
from gateway.recording.capture import Capture
from gateway.routing.plan import Target
from gateway.routing.providers import Provider
from gateway.upstream.response import Response
from gateway.wire.json_members import edit_params

log = structlog.get_logger("gateway.proxy")

# What may be under way at a time; beyond it requests are not mirrored, so that callers have the process.
MAX_UNDER_WAY, MAX_BYTES = 64, 64 * 1024 * 1024

STOPPED = "the gateway was stopped before the mirror had answered"


@dataclass(slots=True, eq=False)
class ProxyMirrors:
    """Sends requests to mirrors, once their callers have their answers.

    Args:
        send: sends the attempt of a call to a target.
    """

    send: Callable[[Call, Target], Awaitable[Response]]
    record: Callable[[Exchange], None]
    policy_of: Callable[[Call, Provider], PayloadPolicy]
    skipped: int = field(default=0, init=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _bytes: int = field(default=0, init=False)

    def start(self) -> None: ...

    async def close(self) -> None:
        """Give up what is under way; each leaves its row."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def choose(self, call: Call, mirror: Mirror) -> None:
        """Draw whether a request, whose body was read, is mirrored."""
        is_asked = call.request.method == "POST" and is_model_call("POST", call.capture.endpoint)
        if is_asked and isinstance(call.content, bytes) and random.random() < mirror.share:
            call.mirrored = call.content

    def begin(self, call: Call) -> None:
        """Send a request to its mirror, in a task of its own."""
        assert call.route is not None, "only routes have a mirror"
        assert call.route.mirror is not None, "only chosen requests are mirrored"
        # What guardrails have taken out for one provider is not for another either.
        content = call.content if call.route.has_guardrails else call.mirrored
        call.mirrored = None
        if not isinstance(content, bytes):
            return
        if len(self._tasks) >= MAX_UNDER_WAY or self._bytes + len(content) > MAX_BYTES:
            self.skipped += 1
            if self.skipped & (self.skipped - 1) == 0:
                log.warning("requests are not mirrored, as too many are under way", skipped=self.skipped)
            return
        self._bytes += len(content)
        shadow, target = self._shadow(call, call.route.mirror, content)
        task = asyncio.create_task(self._run(shadow, target, len(content)), name="mirror")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _shadow(self, call: Call, mirror: Mirror, content: bytes) -> tuple[Call, Target]:
        """Return the call as one of its own, which nobody waits for."""
        target, original = call.plan.target_of(mirror.target), call.capture
        capture = Capture(
            _identity(original.identity),
            original.tenant,
            # Not the caller's own, whose limits it shall not use up.
            f"mirror:{original.key_name or ''}",
            target.provider.name,
            original.endpoint,
            original.method,
            original.path,
            self.policy_of(call, target.provider),
            original.limit_bytes,
            original.request_headers,
            original.opt_out,
        )
        capture.request_body = original.request_body
        capture.route = None if call.route is None else call.route.name
        capture.target = mirror.target.name or mirror.target.path
        settings = mirror.target.settings
        if settings.edits_body:
            content = edit_params(content, settings)
        shadow = replace(
            call,
            quota=None,
            capture=capture,
            content=content,
            is_edited=True,
            relayed=None,
            walk=None,
            cache=None,
            guarded=None,
            mirrored=None,
        )
        return shadow, target

    async def _run(self, shadow: Call, target: Target, size_bytes: int) -> None:
        capture = shadow.capture
        outcome, message = Outcome.GATEWAY_ERROR, STOPPED
        try:
            response = await self.send(shadow, target)
            try:
                while piece := await response.read():
                    capture.response_body.add(piece)
                    if response.is_finished():
                        break
                outcome, message = Outcome.COMPLETE, ""
            finally:
                response.close()
        except UpstreamError as error:
            message = str(error)
            outcome = note_failure(capture, error)
        except Exception as error:
            message = repr(error)
            log.exception("a request could not be mirrored", request_id=capture.identity.request_id)
        finally:
            self._bytes -= size_bytes
            self.record(capture.close(outcome, message or None))


def _identity(original: Identity) -> Identity:
    """Return ids of its own, so that no feedback on the caller's request counts for the mirrored one."""
    metadata = {key: value for key, value in original.metadata.items() if not key.startswith("_")}
    if isinstance(session := original.metadata.get("_session"), str):
        metadata["_session"] = content_id(f"{MIRROR_OF}\0{session}".encode())
    metadata[MIRROR_OF] = original.request_id
    return Identity(new_id(), new_id(), None, None, None, metadata)
