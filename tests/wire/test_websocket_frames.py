"""Frames as the `websockets` library writes them, cut anywhere; and what is broken, long or hostile."""

from __future__ import annotations

import random
import zlib

import pytest
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Close, Frame, Opcode

from gateway.wire.websocket_frames import (
    CloseFrame,
    Compression,
    FrameReader,
    MessageInflater,
    TextMessage,
    encode_close,
    read_compression,
)
from gateway.wire.websocket_responses import MAX_ITEM_BYTES, SocketResponses

TEXTS = [b"", b"one", b"x" * 125, b"y" * 126, b"one two " * 9000, "grün".encode()]


def encode(
    text: bytes,
    codec: PerMessageDeflate | None,
    *,
    mask: bool,
    fragments: int = 1,
    opcode: Opcode = Opcode.TEXT,
) -> bytes:
    size = len(text) // fragments + 1
    pieces = [text[at : at + size] for at in range(0, len(text), size)] or [b""]
    encoded = []
    for at, piece in enumerate(pieces):
        kind = opcode if at == 0 else Opcode.CONT
        frame = Frame(kind, piece, fin=at == len(pieces) - 1)
        encoded.append(frame.serialize(mask=mask, extensions=[codec] if codec else []))
        # Control frames may come between the parts of a message.
        encoded.append(Frame(Opcode.PING, b"?").serialize(mask=mask))
    return b"".join(encoded)


@pytest.mark.parametrize("mask", [True, False])
@pytest.mark.parametrize("packed", ["no", "takeover", "alone"])
def test_messages_are_read_wherever_the_bytes_are_cut(mask: bool, packed: str) -> None:
    chance = random.Random(17)
    codec = inflater = None
    if packed != "no":
        resets = packed == "alone"
        codec = PerMessageDeflate(resets, resets, 15, 15)
        inflater = MessageInflater(resets=resets)
    parts = []
    for fragments in (1, 3):
        for text in TEXTS:
            parts.append(encode(text, codec, mask=mask, fragments=fragments))
            parts.append(encode(b"\0\1" * 500, codec, mask=mask, opcode=Opcode.BINARY))
    parts.append(Frame(Opcode.CLOSE, Close(4002, "over").serialize()).serialize(mask=mask))
    whole = b"".join(parts)
    reader = FrameReader(inflater)
    found: list[TextMessage | CloseFrame] = []
    at = 0
    while at < len(whole):
        size = chance.choice([1, 2, 3, 7, 4096, 70_000])
        found += reader.feed(whole[at : at + size])
        at += size
    assert found == [*(TextMessage(text) for text in TEXTS * 2), CloseFrame(4002, b"over")]
    assert reader.fault is None
    assert reader.is_between_frames


def test_long_messages_are_passed_over_and_hostile_ones_end_the_reading() -> None:
    reader = FrameReader(max_message_bytes=1000)
    data = encode(b"a" * 1001, None, mask=True) + encode(b"b", None, mask=True)
    assert list(reader.feed(data)) == [TextMessage(b"b")]
    assert (reader.messages_passed_over, reader.fault) == (1, None)
    bomb = zlib.compressobj(wbits=-15)
    packed = bomb.compress(b"\0" * 100_000) + bomb.flush(zlib.Z_SYNC_FLUSH)
    reader = FrameReader(MessageInflater(resets=False), max_message_bytes=1000)
    head = bytes((0xC1, 126)) + len(packed[:-4]).to_bytes(2)
    assert list(reader.feed(head + packed[:-4] + encode_close(1000))) == [CloseFrame(1000)]
    assert reader.fault == "a compressed message could not be read"
    reader = FrameReader()
    assert list(reader.feed(b"GET / HTTP/1.1\r\n\r\n" * 20)) == []
    assert not reader.is_between_frames
    assert list(FrameReader().feed(encode_close(1001, b"idle", mask=b"abcd"))) == [CloseFrame(1001, b"idle")]


def test_what_a_server_agrees_on() -> None:
    assert read_compression(b"") == Compression()
    agreed = read_compression(b"permessage-deflate; Client_No_Context_Takeover; server_max_window_bits=12")
    assert agreed == Compression(is_on=True, resets_of_client=True)
    assert not read_compression(b"x-webkit-deflate-frame").is_known


def test_a_long_session_is_remembered_within_bounds() -> None:
    responses = SocketResponses(is_realtime=True)
    for number in range(3000):
        content = b'[{"type":"input_text","text":"%b"}]' % (b"x" * 1000)
        item = b'{"type":"conversation.item.added","item":{"id":"%d","content":%b}}'
        assert responses.take_from_server(item % (number, content), 1) is None
        begun = b'{"type":"response.created","response":{"id":"r%d"}}' % number
        assert responses.take_from_server(begun, 1) is None
        delta = b'{"type":"response.output_text.delta","response_id":"r%d","delta":"%b"}' % (
            number,
            b"y" * 1000,
        )
        assert responses.take_from_server(delta, 1) is None
    cut = responses.close()
    assert len(cut) <= 8
    assert all(len(each.request) < MAX_ITEM_BYTES + 1000 and not each.is_ended for each in cut)
    for garbage in (
        b"",
        b"[]",
        b'{"type":1}',
        b'{"type":"response.done"}',
        b'{"type":"error","error":[]}',
        b"\xff",
    ):
        assert responses.take_from_server(garbage, 1) is None
