from __future__ import annotations

import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from benchmarks.calls import CHAT, STREAMED_CHAT, chat_of, chat_request, post, vote_request
from benchmarks.load import Answer, Loader, percentile, read_answers
from benchmarks.processes import Failed
from benchmarks.upstream import Pace, mock_upstream

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


@pytest.fixture(scope="module")
def loader(tmp_path_factory: pytest.TempPathFactory) -> Loader:
    return Loader(tmp_path_factory.mktemp("loader"))


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    server, port = mock_upstream(tmp_path_factory.mktemp("upstream"), Pace(chunks=4, gap_ms=10))
    with server:
        yield port


@contextmanager
def answering(answer: Callable[[bytes], bytes]) -> Iterator[int]:
    """Serve one connection at a time, each request by what a function says; tell the port."""

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                while request := connection.recv(65536):
                    connection.sendall(answer(request))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_an_answer_is_read_with_the_delay_of_each_event() -> None:
    assert read_answers([b"200 900 800 300 1234 5 6"]) == [Answer(900, 800, 300, 1234, (5, 6))]
    assert read_answers([b"200 900 800 0 77"]) == [Answer(900, 800, 0, 77, ())]


def test_an_answer_that_is_none_ends_the_measurement() -> None:
    with pytest.raises(Failed, match="503"):
        read_answers([b"200 1 1 0 1", b"503 1 1 0 1"])
    with pytest.raises(Failed, match="no answers"):
        read_answers([])


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (50, 5), (99, 10), (100, 10)])
def test_a_percentile_is_one_of_the_values(percent: float, value: float) -> None:
    assert percentile([3, 1, 2, 10, 9, 8, 7, 6, 5, 4], percent) == value


@needs_cc
def test_every_request_that_was_sent_is_waited_for(loader: Loader, upstream: int) -> None:
    answers = loader.send(chat_request(CHAT, "run", ()), upstream, connections=4, seconds=0.2)
    assert len(answers) > 100
    assert answers == sorted(answers, key=lambda answer: answer.at_us)


@needs_cc
def test_a_rate_is_kept(loader: Loader, upstream: int) -> None:
    answers = loader.send(chat_request(CHAT, "run", ()), upstream, connections=4, seconds=0.5, rate=100)
    assert len(answers) == 50
    assert answers[-1].at_us > 0.45e6


@needs_cc
def test_every_event_of_a_stream_is_timed(loader: Loader, upstream: int) -> None:
    request = chat_request(STREAMED_CHAT, "run", ())
    answers = loader.send(request, upstream, connections=2, seconds=0.1, rate=20)
    assert [len(answer.delays_us) for answer in answers] == [3, 3]
    assert all(0 < answer.first_event_us < answer.took_us for answer in answers)
    assert all(answer.took_us >= 50_000 for answer in answers)


@needs_cc
def test_a_body_may_be_longer_than_what_the_upstream_keeps_of_it(loader: Loader, upstream: int) -> None:
    request = chat_request(chat_of(1_000_000), "run", ())
    assert loader.send(request, upstream, connections=1, seconds=0.05)


@needs_cc
def test_a_server_that_stalls_is_charged_with_all_that_it_kept_waiting(loader: Loader) -> None:
    stalls = iter([0.5])

    def answer(request: bytes) -> bytes:
        time.sleep(next(stalls, 0))
        return OK

    with answering(answer) as port:
        answers = loader.send(post("/", b"", ()), port, connections=1, seconds=0.4, rate=10)
    waits = [answer.took_us for answer in answers]
    assert len(waits) == 4
    assert waits == sorted(waits, reverse=True)
    assert waits[0] >= 500_000
    assert waits[3] >= 190_000


@needs_cc
def test_requests_are_numbered_and_numbers_come_again(loader: Loader) -> None:
    seen = []

    def answer(request: bytes) -> bytes:
        seen.append(re.findall(rb"known-(\d{10})", request))
        return OK

    with answering(answer) as port:
        loader.send(vote_request("known", ()), port, connections=1, seconds=0.5, rate=10, numbers=2)
    assert seen == [[b"0000000000"], [b"0000000001"]] * 2 + [[b"0000000000"]]


@needs_cc
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "answered with 503"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{}", "longer than its Content-Length"),
    ],
)
def test_an_answer_that_is_not_right_ends_the_load(loader: Loader, answer: bytes, reason: str) -> None:
    with answering(lambda _: answer) as port, pytest.raises(Failed, match=reason):
        loader.send(post("/", b"", ()), port, connections=1, seconds=0.1, rate=10)
