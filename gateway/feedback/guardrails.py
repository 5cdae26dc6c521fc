"""GuardrailFeedbackWriter: gives the feedback of guardrails' results, later where the store is away."""

import asyncio
from collections import deque
from itertools import groupby, islice
from operator import itemgetter

import orjson
import structlog

from gateway.errors import GatewayError, StoreUnavailable
from gateway.feedback.payloads import NewFeedback
from gateway.feedback.service import FeedbackService
from gateway.models.feedback import Kind, Source, Target
from gateway.models.guardrails import GuardrailReport
from gateway.models.ids import new_id
from gateway.models.principal import Principal
from gateway.periodic import PeriodicTask

log = structlog.get_logger("gateway.feedback")

DIALECT = "guardrails"
AUTHOR = "guardrail"

# Entries that wait for the store; beyond them the newest are lost.
MAX_WAITING = 10_000
_GROUP = 100
_PAUSE_SECONDS = 1.0


class GuardrailFeedbackWriter:
    """Gives the feedback of results in the order in which they came."""

    def __init__(self, service: FeedbackService) -> None:
        self.lost = 0
        self._service = service
        self._waiting: deque[tuple[Principal, NewFeedback]] = deque()
        self._task = PeriodicTask(
            "guardrail feedback",
            self._give_all,
            pause_seconds=_PAUSE_SECONDS,
            failed="feedback of guardrails waits for the store",
        )

    def start(self) -> None:
        self._task.start()

    def report(self, report: GuardrailReport) -> None:
        """Take a result, which may have no feedback."""
        feedback = report.result.feedback
        if feedback is None:
            return
        if len(self._waiting) >= MAX_WAITING:
            self.lost += 1
            log.error("feedback of guardrails is lost: too much waits for the store", lost=self.lost)
            return
        guardrail = report.result.guardrail
        raw = {"value": feedback.value, "weight": feedback.weight, "metadata": feedback.metadata}
        item = NewFeedback(
            # Chosen here, so that an entry which is given again is not stored twice.
            feedback_id=new_id(),
            subject_id=report.request_id,
            target=Target.REQUEST,
            kind=Kind.RATING,
            metric=guardrail.id,
            value=feedback.value,
            weight=feedback.weight,
            author=AUTHOR,
            source=Source.CODE,
            metadata=feedback.metadata,
            raw=orjson.dumps(raw).decode(),
        )
        principal = Principal(report.key_name, frozenset(), report.tenant)
        self._waiting.append((principal, item))
        self._task.run_now()

    async def close(self) -> None:
        await self._task.close()
        try:
            async with asyncio.timeout(_PAUSE_SECONDS):
                await self._give_all()
        except (StoreUnavailable, TimeoutError):
            if self._waiting:
                log.error("feedback of guardrails is lost: the store takes none", lost=len(self._waiting))

    async def _give_all(self) -> None:
        while self._waiting:
            principal = self._waiting[0][0]
            _, group = next(groupby(islice(self._waiting, _GROUP), itemgetter(0)))
            items = [item for _, item in group]
            try:
                await self._service.give(items, principal, dialect=DIALECT)
            except StoreUnavailable:
                raise
            except GatewayError:
                # One of them is refused, which the others need not share.
                for item in items:
                    await self._give_one(item, principal)
            for _ in items:
                self._waiting.popleft()

    async def _give_one(self, item: NewFeedback, principal: Principal) -> None:
        try:
            await self._service.give([item], principal, dialect=DIALECT)
        except StoreUnavailable:
            raise
        except GatewayError as error:
            log.warning("feedback of a guardrail was refused", reason=str(error))
