from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from gateway.models.exchange import Exchange
from gateway.models.request import Usage
from gateway.recording.interpreter import CostCalculator
from gateway.wire import read_facts, reassemble
from gateway.wire.pricing import PriceTable
from tests.wire.samples import exchange

SPEECH = b"ID3\x04\x00" + bytes(range(256)) * 100


def spoken(model: str, text: object, body: bytes = SPEECH, content_type: str = "audio/mpeg") -> Exchange:
    request = orjson.dumps({"model": model, "input": text, "voice": "alloy"})
    made = exchange("audio.speech", body, content_type=content_type, request_body=request)
    return replace(made, provider="openai", path="/v1/audio/speech")


def cost_of(one: Exchange) -> int | None:
    cost = CostCalculator(PriceTable({}), lambda _: None).with_cost(one, read_facts(one)).cost
    return None if cost is None else cost.nanousd


def test_speech_is_billed_by_the_characters_that_were_asked_for() -> None:
    one = spoken("tts-1", "Hello thére")
    assert read_facts(one).billing.units == {"input_characters": 11}
    assert cost_of(one) == 11 * 15_000


def test_speech_of_a_model_that_is_billed_by_tokens_has_no_cost_where_none_are_stated() -> None:
    assert cost_of(spoken("gpt-4o-mini-tts", "Hello")) is None


@pytest.mark.parametrize("text", ["", None, 5, ["a"]])
def test_nothing_to_say_costs_nothing(text: object) -> None:
    assert cost_of(spoken("tts-1", text)) is None


def test_speech_that_was_refused_is_not_billed() -> None:
    error = orjson.dumps({"error": {"message": "input too long"}})
    for status in (200, 400):
        one = replace(spoken("tts-1", "Hello", error, "application/json"), status=status)
        assert (read_facts(one).note, cost_of(one)) == ("input too long", None)


def test_sound_and_subtitles_say_nothing_and_are_no_fault() -> None:
    for content_type, body in (
        ("audio/mpeg", SPEECH),
        ("text/plain; charset=utf-8", b"1\n00:00 --> 00:01\nHi\n"),
    ):
        facts = read_facts(exchange("audio.transcriptions", body, content_type=content_type))
        assert (facts.note, facts.usage, facts.is_stream, facts.outcome) == (None, Usage(), None, None)
        assert reassemble("audio.transcriptions", content_type, body) is None


def test_the_model_of_a_form_is_read_wherever_the_file_is() -> None:
    field = b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    file = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n' + SPEECH + b"\r\n"
    form = file + field % (b"model", b"whisper-1") + field % (b"user", b"u-1") + b"--b--\r\n"
    answer = orjson.dumps({"text": "Hi", "usage": {"type": "duration", "seconds": 2.5}})
    one = replace(
        exchange("audio.transcriptions", answer, request_body=form),
        provider="openai",
        request_headers=((b"Content-Type", b"multipart/form-data; boundary=b"),),
    )
    facts = read_facts(one)
    assert (facts.requested_model, facts.user, facts.note) == ("whisper-1", "u-1", None)
    assert cost_of(one) == 250_000


@pytest.mark.parametrize("seconds", [-1, 10**13, "9", True, None, [9]])
def test_a_duration_that_is_none_is_not_believed(seconds: object) -> None:
    answer = orjson.dumps({"text": "Hi", "usage": {"type": "duration", "seconds": seconds}})
    assert read_facts(exchange("audio.transcriptions", answer)).billing.units == {}


def test_the_last_event_of_a_stream_of_images_is_read_behind_large_ones() -> None:
    kind = b'event: %b\ndata: {"type":"%b","b64_json":"A'.replace(b"%b", b"image_generation.%b")
    partial = kind.replace(b"%b", b"partial_image") + b"A" * 100_000 + b'"}\n\n'
    end = kind.replace(b"%b", b"completed") + b'","usage":{"input_tokens":3,"output_tokens":4}}\n\n'
    body = partial * 3 + end
    facts = read_facts(exchange("images", body, content_type="text/event-stream"))
    assert facts.usage == Usage(3, 4)
    assert facts.billing.units == {"output_image_tokens": 4}
