"""Server-sent events: the only reader of them in the house.

Source: WHATWG HTML, sections 9.2.5 and 9.2.6 (parsing and interpreting an event stream). The fields `id` and
`retry` steer reconnection, which no LLM API uses; they are ignored, as are unknown fields and comments.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

DEFAULT_EVENT = "message"
"""Type of an event that does not name its own."""

_NAMED_DATA = b"\ndata: "
_BOM = b"\xef\xbb\xbf"

MAX_EVENTS = 250_000
"""Most events read of a body, and most lines of an event. In 16 MiB are no more of those that say anything."""

Event = tuple[str, bytes]
"""Type and data of one event."""


@dataclass(frozen=True, slots=True)
class Stream:
    """The events of a body.

    Args:
        events: those that are whole, in order.
        unfinished: what had arrived of a last one that was not, as far as it has data.
        body: the bytes that they were read from, where the events stand in them as they are.
    """

    events: list[Event]
    unfinished: Event | None
    body: bytes = b""

    @property
    def arrived(self) -> list[Event]:
        """Every event, the unfinished one included."""
        return self.events if self.unfinished is None else [*self.events, self.unfinished]

    def mentions(self, text: bytes) -> bool:
        """Tell whether some event holds this text."""
        return text in self.body if self.body else any(text in data for _, data in self.arrived)


def read_stream(body: bytes) -> Stream:
    """Return the events of a whole body, whichever of the three line endings it uses."""
    if body.startswith(_BOM):
        body = body[len(_BOM) :]
    if b"\r" in body:
        body = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    *blocks, rest = body.split(b"\n\n", MAX_EVENTS)
    found: list[Event] = []
    for block in blocks:
        # Nearly every event is one line of data, or one below its name; a call for each would double the time.
        end = block.find(b"\n")
        if end < 0 and block.startswith(b"data: "):
            found.append((DEFAULT_EVENT, block[6:]))
        elif (
            end > 7
            and block.startswith(_NAMED_DATA, end)
            and block.startswith(b"event: ")
            and block.find(b"\n", end + 1) < 0
        ):
            found.append((block[7:end].decode(errors="replace"), block[end + 7 :]))
        elif (event := _read_block(block)) is not None:
            found.append(event)
    return Stream(found, _read_block(rest.partition(b"\n\n")[0]), body)


def events(body: bytes) -> Iterator[Event]:
    """Yield (type, data) of each event of a body, an unfinished last one included."""
    yield from read_stream(body).arrived


def _read_block(block: bytes) -> Event | None:
    name = b""
    data: list[bytes] = []
    for line in block.split(b"\n", MAX_EVENTS)[:MAX_EVENTS]:
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    if not data:
        return None
    return name.decode(errors="replace") or DEFAULT_EVENT, b"\n".join(data)
