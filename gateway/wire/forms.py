"""Fields of a form, without the files beside them. Source: RFC 7578, and WHATWG URL for urlencoded ones."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import parse_qsl

from gateway.wire.fields import MAX_TEXT

_MAX_PARTS = 256
_MAX_HEAD_BYTES = 2048
_MAX_URLENCODED_BYTES = 64 * 1024
_BOUNDARY = re.compile(rb'boundary="?([^";,\s]{1,200})', re.IGNORECASE)
_NAME = re.compile(rb'content-disposition:[^\r\n]*?[;\s]name="?([^";\r\n]*)', re.IGNORECASE)


def read_form(content_type: bytes, body: bytes, names: Collection[str]) -> dict[str, str] | None:
    """Return those fields of a form that are called as asked for; None if the body is no form.

    What lies between the parts' boundaries is not looked at, however long it is; a field is a name or an id.
    """
    kind = content_type[:100].lower()
    if kind.startswith(b"application/x-www-form-urlencoded"):
        pairs = parse_qsl(body[:_MAX_URLENCODED_BYTES].decode(errors="replace"), max_num_fields=None)
        return {name: value for name, value in pairs if name in names and len(value) <= MAX_TEXT}
    boundary = _BOUNDARY.search(content_type)
    if not kind.startswith(b"multipart/form-data") or boundary is None:
        return None
    return _read_parts(b"--" + boundary[1], body, names)


def _read_parts(delimiter: bytes, body: bytes, names: Collection[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    start = body.find(delimiter)
    for _ in range(_MAX_PARTS):
        if start < 0:
            break
        end = body.find(delimiter, start + len(delimiter))
        head, blank, _ = body[start : start + _MAX_HEAD_BYTES].partition(b"\r\n\r\n")
        name = _NAME.search(head)
        field = name[1].decode(errors="replace") if name and blank and b"filename" not in head else ""
        if field in names and end >= 0:
            begins = start + len(head) + len(blank)
            text = (
                body[begins : min(end, begins + 4 * MAX_TEXT + 2)]
                .removesuffix(b"\r\n")
                .decode(errors="replace")
            )
            if 0 < len(text) <= MAX_TEXT:
                found[field] = text
        start = end
    return found
