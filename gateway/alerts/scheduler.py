"""AlertScheduler: look at each rule when it is due, in one process of all, and tell what happened."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from gateway.alerts.definition import AlertService, is_state_of
from gateway.alerts.evaluation import judge, look_at, look_starts_us
from gateway.alerts.measures import ByGroup, MeasureReader, Observed, biggest_groups
from gateway.errors import BadInput, GatewayError, StoreUnavailable
from gateway.models.alerts import AlertEvent, AlertRule, AlertState, AlertStatus
from gateway.models.clock import now_us
from gateway.models.filters import Comparison, Op, Page, Sort
from gateway.periodic import PeriodicTask
from gateway.store.base import Store

log = structlog.get_logger("gateway.alerts")

LOOK_SECONDS = 15.0
# What one look may take; then the rule waits for its next turn.
EVALUATION_SECONDS = 10.0
# A process that took a turn and died holds it so long.
LEASE_US = 30_000_000
# Most turns that a rule is left alone for after it took too long.
_MAX_BACKOFF = 10

OnEvent = Callable[[AlertEvent], None]


class AlertScheduler:
    """Looks at rules of the store and of the configuration file.

    A turn is taken under a lease, and what it finds is stored in one step if the turn was not lost meanwhile: of
    several processes one alone stores a change, and a process that is killed stores all of a look or nothing.
    `on_event` gets each event after it was stored, in the process that stored it; who must miss none reads
    `alert_events` by `seq`.
    """

    def __init__(self, store: Store, service: AlertService) -> None:
        self._store = store
        self._service = service
        self._reader = MeasureReader(store)
        self.on_event: list[OnEvent] = []
        self._task = PeriodicTask(
            "alerts", self.run_due, pause_seconds=LOOK_SECONDS, failed="alerts were not looked at"
        )
        service.on_change = self._task.run_now

    def start(self) -> None:
        self._task.start()

    async def close(self) -> None:
        await self._task.close()

    async def run_due(self, at_us: int | None = None) -> None:
        """Look at every rule that is due and that no other process is looking at."""
        now = now_us() if at_us is None else at_us
        is_enabled = Comparison("is_enabled", Op.EQ, True)
        stored = await self._store.find_alerts(is_enabled, Sort(descending=False), Page(10_000), None)
        enabled = [*(rule for rule in self._service.file_rules if rule.is_enabled), *stored]
        checks = await self._store.alert_checks() if enabled else {}
        for rule in enabled:
            check = checks.get(rule.alert_id)
            if check is None or max(check.next_at_us, check.lease_until_us) <= now:
                await self._take_turn(rule, now)

    async def _take_turn(self, rule: AlertRule, at_us: int) -> None:
        check = await self._store.claim_alert_check(rule.alert_id, at_us, at_us + LEASE_US)
        if check is None:
            return
        # At whole intervals, so that looks do not drift.
        following = (at_us // rule.interval_us + 1) * rule.interval_us
        try:
            async with asyncio.timeout(EVALUATION_SECONDS):
                states, events, left_out = await self._look(rule, at_us)
        except StoreUnavailable:
            raise
        except (GatewayError, TimeoutError) as error:
            reason = (
                f"took longer than {EVALUATION_SECONDS:g} s"
                if isinstance(error, TimeoutError)
                else str(error)
            )
            log.warning("alert not evaluated", alert=rule.name, reason=reason)
            waits = 0 if isinstance(error, BadInput) else _MAX_BACKOFF * rule.interval_us
            failed = replace(check, next_at_us=following + waits, error=reason)
            await self._store.finish_alert_check(failed, None, ())
            return
        done = replace(check, next_at_us=following, groups_left_out=left_out, error=None)
        for event in await self._store.finish_alert_check(done, states, events) or ():
            self._tell(event)

    async def _look(self, rule: AlertRule, at_us: int) -> tuple[list[AlertState], list[AlertEvent], int]:
        to_us = at_us - rule.settle_us
        starts = look_starts_us(rule, to_us)
        ends = (*starts[1:], to_us)
        parts = [await self._reader.read(rule, start, end) for start, end in zip(starts, ends, strict=True)]
        stored = await self._store.alert_states([rule.alert_id])
        earlier = {state.group_value: state for state in stored if is_state_of(rule, state)}
        return judge_groups(rule, parts, earlier, at_us)

    def _tell(self, event: AlertEvent) -> None:
        log.warning("alert", name=event.name, kind=event.kind.value, says=event.message)
        for callback in self.on_event:
            try:
                callback(event)
            except Exception:
                log.exception("an event of an alert was not taken", event_id=event.event_id)


def judge_groups(
    rule: AlertRule, parts: Sequence[ByGroup], earlier: dict[str, AlertState], at_us: int
) -> tuple[list[AlertState], list[AlertEvent], int]:
    """Return states and events of all groups after a look, and how many groups are left out."""
    whole: dict[str, Observed] = {}
    for part in parts:
        for group, seen in part.items():
            whole[group] = whole[group] + seen if group in whole else seen
    watched = biggest_groups(rule, whole)
    # What fires is looked at until it ends, though its requests have become few or none.
    firing = [
        group
        for group, state in earlier.items()
        if state.status is AlertStatus.FIRING and group not in watched
    ]
    states, events = [], []
    for group in (*watched, *firing):
        look = look_at(rule, [part.get(group, Observed()) for part in parts], len(watched))
        state, event = judge(rule, group, earlier.get(group), look, at_us)
        states.append(state)
        if event is not None:
            events.append(event)
    return states, events, len(whole) - len(watched)
