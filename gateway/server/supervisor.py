"""Several processes that serve on one port: started, watched, replaced, told what to do, and stopped together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import structlog

from gateway import __version__
from gateway.config.models import Config
from gateway.domain.figures import lasting
from gateway.running import check_reload
from gateway.server.listeners import Listeners, bind_each, close_all, url_of
from gateway.server.messages import (
    AskOthers,
    Begin,
    Cover,
    Leaving,
    Message,
    OthersCounted,
    Reload,
    Serving,
    Uncover,
)
from gateway.server.pauses import Pauses
from gateway.server.place import Ended, Place
from gateway.server.signals import on_signals

log = structlog.get_logger("gateway.server")


async def supervise(config: Config, reload: Callable[[], Config], on_ready: Callable[[str], None]) -> None:
    """Do with several processes what `gateway.server.run` says."""
    crew = Crew(config, bind_each(config.server.host, config.server.port, config.server.workers))
    stop = on_signals(config, reload, crew.reload)
    try:
        await crew.until(crew.has_served, stop)
        if not stop.is_set():
            log.info("started", url=crew.url, version=__version__, workers=config.server.workers)
            on_ready(crew.url)
            await crew.until(stop)
        log.info("stopping", drain_seconds=config.server.drain_seconds)
    finally:
        await crew.dismiss()
    log.info("stopped")


class Crew:
    """The workers of a gateway, each in a place of its own, which another takes when it dies.

    Args:
        config: what they serve.
        listeners: the sockets of each place. They stay open here, so that callers who come to an empty place are
            not turned away: workers of other places let them in meanwhile.
    """

    def __init__(self, config: Config, listeners: Sequence[Listeners]) -> None:
        self.url = url_of(config.server.host, listeners[0])
        self.has_served = asyncio.Event()
        """Set once all places were filled at a time."""
        self._config = self._reloaded = config
        self._listeners = listeners
        self._places = [Place(number) for number in range(len(listeners))]
        self._empty: set[int] = set()
        self._is_dismissed = asyncio.Event()
        self._answers: set[asyncio.Task[None]] = set()
        self._keepers = [
            asyncio.create_task(self._keep(place), name=f"worker {place.number}") for place in self._places
        ]

    async def until(self, *events: asyncio.Event) -> None:
        """Wait for one of these events.

        Raises:
            Exception: why a worker ended, if that was before all had served: those after it would end alike.
        """
        waits = [asyncio.create_task(event.wait(), name="event") for event in events]
        done, _ = await asyncio.wait([*waits, *self._keepers], return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        for task in done:
            task.result()

    def reload(self, config: Config) -> None:
        """Let all workers take over a configuration, those to come included.

        Raises:
            GatewayError, OSError: it cannot be used; nothing has changed then.
        """
        check_reload(config)
        self._reloaded = config
        self._tell(self._places, Reload(config))
        log.info("configuration handed to the workers", providers=list(config.providers))

    async def dismiss(self) -> None:
        """Let nobody in any more, and return when all workers have finished and ended."""
        self._is_dismissed.set()
        for listeners in self._listeners:
            close_all(listeners)
        for place in self._places:
            place.stop()
        await asyncio.gather(*self._keepers, return_exceptions=True)

    async def _keep(self, place: Place) -> None:
        """Keep a worker in a place until all are dismissed."""
        pauses = Pauses()
        while not self._is_dismissed.is_set():
            ended = await self._fill(place)
            if self._is_dismissed.is_set():
                return
            if not self.has_served.is_set():
                raise ended.error
            pause = pauses.after(ended.lived_seconds)
            log.error(
                "a worker ended; another takes its place",
                worker=place.number,
                reason=str(ended.error),
                pause_seconds=pause,
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_dismissed.wait(), pause)

    async def _fill(self, place: Place) -> Ended:
        descriptors = [[listener.fileno() for listener in listeners] for listeners in self._listeners]

        def begin() -> Begin:
            return Begin(place.number, self._config, self._reloaded, lasting(place.figures), descriptors)

        try:
            return await place.fill(begin, descriptors, self._heed)
        except OSError as error:
            return Ended(error, lived_seconds=0.0)

    def _heed(self, place: Place, message: Message) -> None:
        match message:
            case Serving():
                self._uncover(place)
            case Leaving():
                self._cover(place)
            case AskOthers(question):
                answer = asyncio.create_task(self._answer(place, question), name="figures")
                self._answers.add(answer)
                answer.add_done_callback(self._answers.discard)

    def _uncover(self, place: Place) -> None:
        if place.number in self._empty:
            self._empty.remove(place.number)
            self._tell(self._others(place), Uncover(place.number))
        for number in self._empty:
            place.send(Cover(number))
        if all(each.is_serving for each in self._places):
            self.has_served.set()

    def _cover(self, place: Place) -> None:
        is_at_work = self.has_served.is_set() and not self._is_dismissed.is_set()
        if is_at_work and place.number not in self._empty:
            self._empty.add(place.number)
            self._tell(self._others(place), Cover(place.number))

    async def _answer(self, place: Place, question: int) -> None:
        others = self._others(place)
        await asyncio.gather(*(other.count() for other in others))
        place.send(OthersCounted(question, [other.figures for other in others]))

    def _others(self, place: Place) -> list[Place]:
        return [other for other in self._places if other is not place]

    def _tell(self, places: Sequence[Place], message: Message) -> None:
        for place in places:
            place.send(message)
