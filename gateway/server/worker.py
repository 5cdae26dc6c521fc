"""One of several processes that serve, which does what its supervisor says until that tells it to stop or is gone.

Usage: python -m gateway.server.worker DESCRIPTOR, where that is the worker's end of the channel, inherited.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import socket
import sys
from collections.abc import Sequence

import structlog
import uvloop

from gateway.config.models import Config
from gateway.domain.figures import Figures
from gateway.errors import GatewayError
from gateway.running import Worker
from gateway.server.channel import Channel, open_channel
from gateway.server.listeners import close_all
from gateway.server.logs import configure_logs
from gateway.server.messages import (
    AskOthers,
    Begin,
    Count,
    Counted,
    Cover,
    Failed,
    Leaving,
    Message,
    OthersCounted,
    Reload,
    Serving,
    Uncover,
)
from gateway.server.serving import Doors, House, serving

log = structlog.get_logger("gateway.server")

COUNT_SECONDS = 1.0
"""How often the supervisor is told the figures unasked. What is counted after that is lost with a worker that is
killed."""


def main() -> None:
    """Serve, and exit: with 0 if nothing went wrong."""
    # Meant for the supervisor, whoever else they reach.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(_serve(socket.socket(fileno=int(sys.argv[1]))))
    sys.exit(code)


async def _serve(end: socket.socket) -> int:
    channel = await open_channel(end)
    try:
        begin = await channel.receive()
        if isinstance(begin, Begin):
            await _Post(channel, begin).serve()
    except (GatewayError, OSError) as error:
        channel.send(Failed(error))
        return 1
    finally:
        await channel.close()
    return 0


class _Post:
    """A worker's place, and the orders that come to it."""

    def __init__(self, channel: Channel, begin: Begin) -> None:
        self._channel = channel
        self._begin = begin
        self._listeners = [[socket.socket(fileno=one) for one in place] for place in begin.listeners]
        self._covered: dict[int, Doors] = {}
        self._questions: dict[int, asyncio.Future[Sequence[Figures]]] = {}
        self._numbers = itertools.count()
        self._is_leaving = False
        self._is_left_alone = False

    async def serve(self) -> None:
        """Serve until told to stop or left alone, then finish what is in flight.

        Raises:
            GatewayError, OSError: the configuration cannot be used as it is, or one to take over cannot.
        """
        begin = self._begin
        structlog.contextvars.bind_contextvars(worker=begin.number)
        _use_logs(begin.reloaded)
        async with serving(begin.config, Worker(begin.number, begin.inherited, self._ask_others)) as house:
            house.gateway.reload(begin.reloaded)
            stop = asyncio.Event()
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
            await house.let_in(self._listeners[begin.number])
            log.info("started")
            self._channel.send(Serving())
            stopping = asyncio.create_task(stop.wait(), name="stop")
            orders = asyncio.create_task(self._obey(house), name="orders")
            counts = asyncio.create_task(self._count(house), name="counts")
            await asyncio.wait([stopping, orders], return_when=asyncio.FIRST_COMPLETED)
            self._leave()
            log.info("stopping", in_flight=len(house.gateway.proxy.in_flight))
        self._channel.send(Counted(house.gateway.metrics.figures()))
        for task in (stopping, orders, counts):
            task.cancel()
        if orders.done():
            orders.result()
        log.info("stopped")

    def _leave(self) -> None:
        self._is_leaving = True
        self._channel.send(Leaving())
        # As long as anybody has a socket open, callers who come to it are made to wait and not refused.
        for number, listeners in enumerate(self._listeners):
            if number != self._begin.number:
                close_all(listeners)

    async def _obey(self, house: House) -> None:
        """Do what the supervisor says for as long as it is there."""
        try:
            async for order in self._channel:
                await self._do(order, house)
        finally:
            self._is_left_alone = True
            for question in list(self._questions):
                self._answer(question, ())

    async def _do(self, order: Message, house: House) -> None:
        match order:
            case Reload(config):
                house.gateway.reload(config)
                _use_logs(config)
                log.info("configuration reloaded", providers=list(config.providers))
            case Cover(number) if not self._is_leaving:
                copies = [listener.dup() for listener in self._listeners[number]]
                self._covered[number] = await house.let_in(copies)
            case Uncover(number):
                for door in self._covered.pop(number, ()):
                    await door.stop()
            case Count():
                self._channel.send(Counted(house.gateway.metrics.figures()))
            case OthersCounted(question, figures):
                self._answer(question, figures)

    async def _count(self, house: House) -> None:
        while True:
            self._channel.send(Counted(house.gateway.metrics.figures()))
            await self._channel.flush()
            await asyncio.sleep(COUNT_SECONDS)

    async def _ask_others(self) -> Sequence[Figures]:
        if self._is_left_alone:
            return ()
        question = next(self._numbers)
        answer: asyncio.Future[Sequence[Figures]] = asyncio.get_running_loop().create_future()
        self._questions[question] = answer
        self._channel.send(AskOthers(question))
        try:
            return await answer
        finally:
            del self._questions[question]

    def _answer(self, question: int, figures: Sequence[Figures]) -> None:
        answer = self._questions.get(question)
        if answer is not None and not answer.done():
            answer.set_result(figures)


def _use_logs(config: Config) -> None:
    configure_logs(config.logging.level, config.logging.format)


if __name__ == "__main__":
    main()
