"""Pictures of the web pages for the documentation, on the demo's data: `python -m tests.screenshots FOLDER`."""

from __future__ import annotations

import base64
import json
import struct
import sys
import tempfile
import urllib.request
import zlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from tests.browser import start_browser
from tests.gateway_process import RunningGateway

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

WIDTH, HEIGHT = 1240, 760
MAX_BYTES = 120_000

_COLORS = 256
_CHANNELS = {2: 3, 6: 4}

# Nothing blinks on a picture.
_QUIET = "document.activeElement?.blur(); document.fonts.ready.then(arguments[0])"


def pages_of(url: str) -> dict[str, str]:
    """Return the path of each picture by its name."""
    with urllib.request.urlopen(f"{url}/api/v1/feedback?kind=edit&limit=1") as reply:
        [edit] = json.load(reply)["data"]
    with urllib.request.urlopen(f"{url}/api/v1/requests?trace_id={edit['trace_id']}&limit=1") as reply:
        [asked] = json.load(reply)["data"]
    return {
        "feedback": "/ui/feedback?rating=bad&from=7d",
        "compare": "/ui/compare?by=prompt_version&arms=v1%2Cv2&prompt=support-reply&from=30d",
        "overview": "/ui/overview",
        "requests": "/ui/requests",
        "request": f"/ui/requests/{quote(asked['request_id'], safe='')}?trace_id={asked['trace_id']}",
    }


def take(browser: WebDriver, address: str) -> bytes:
    """Return what the browser shows of a page, as PNG."""
    browser.get(address)
    browser.execute_async_script(_QUIET)
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    return base64.b64decode(shot["data"])


def shrink(png: bytes) -> bytes:
    """Return a picture of few colours, each pixel one byte."""
    width, rows = _read_rows(png)
    counted = Counter(color for row in rows for color in row)
    palette = _palette([color for color, _ in counted.most_common()])
    places = {color: _nearest(color, palette)[1] for color in counted}
    pixels = b"".join(b"\0" + bytes(places[color] for color in row) for row in rows)
    header = struct.pack(">IIBBBBB", width, len(rows), 8, 3, 0, 0, 0)
    chunks = {b"IHDR": header, b"PLTE": b"".join(palette), b"IDAT": zlib.compress(pixels, 9), b"IEND": b""}
    return png[:8] + b"".join(_chunk(name, content) for name, content in chunks.items())


def _palette(colors: list[bytes]) -> list[bytes]:
    """Choose colours, the most frequent first, that differ enough to be few."""
    palette: list[bytes] = []
    for least in range(10, 100, 5):
        palette = colors[:1]
        for color in colors:
            if len(palette) > _COLORS:
                break
            if _nearest(color, palette)[0] >= least**2:
                palette.append(color)
        if len(palette) <= _COLORS:
            break
    return palette[:_COLORS]


def _nearest(color: bytes, palette: list[bytes]) -> tuple[int, int]:
    """Return the squared distance of the nearest colour, and its place."""
    red, green, blue = color
    return min(
        ((red - other[0]) ** 2 + (green - other[1]) ** 2 + (blue - other[2]) ** 2, at)
        for at, other in enumerate(palette)
    )


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _read_rows(png: bytes) -> tuple[int, list[list[bytes]]]:
    """Return the width and the colours of each row of a picture as Chromium writes it."""
    at, compressed, width, depth = 8, b"", 0, 0
    while at < len(png):
        (length,), name = struct.unpack(">I", png[at : at + 4]), png[at + 4 : at + 8]
        content = png[at + 8 : at + 8 + length]
        if name == b"IHDR":
            width, depth = struct.unpack(">I", content[:4])[0], _CHANNELS[content[9]]
        elif name == b"IDAT":
            compressed += content
        at += length + 12
    raw, size = zlib.decompress(compressed), width * depth
    rows, above = [], bytearray(size)
    for start in range(0, len(raw), size + 1):
        above = _unfilter(raw[start], bytearray(raw[start + 1 : start + 1 + size]), above, depth)
        rows.append([bytes(above[x : x + 3]) for x in range(0, size, depth)])
    return width, rows


def _unfilter(kind: int, row: bytearray, above: bytearray, depth: int) -> bytearray:
    for x in range(len(row)):
        left = row[x - depth] if x >= depth else 0
        up, corner = above[x], above[x - depth] if x >= depth else 0
        if kind == 1:
            guess = left
        elif kind == 2:
            guess = up
        elif kind == 3:
            guess = (left + up) // 2
        elif kind == 4:
            guess = min((left, up, corner), key=lambda each: abs(left + up - corner - each))
        else:
            guess = 0
        row[x] = (row[x] + guess) & 255
    return row


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        gateway = RunningGateway(Path(place), {}, arguments=("--demo", "--demo-data"))
        browser = start_browser(Path(place) / "profile", {})
        try:
            size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            browser.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
            with gateway:
                for name, path in pages_of(gateway.url).items():
                    picture = shrink(take(browser, gateway.url + path))
                    if len(picture) > MAX_BYTES:
                        sys.exit(f"{name}.png has {len(picture):,} bytes; at most {MAX_BYTES:,} are allowed")
                    (folder / f"{name}.png").write_bytes(picture)
                    sys.stdout.write(f"{folder}/{name}.png: {len(picture):,} bytes\n")
        finally:
            browser.quit()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
