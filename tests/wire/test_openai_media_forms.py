from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.openai_media import read_form

NAMES = ("model", "user")
MULTIPART = b"multipart/form-data; boundary=xx"


def part(name: str, value: bytes, more: bytes = b"") -> bytes:
    return b'--xx\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n' % (name.encode(), more, value)


FILE = part("file", b"\xff\x00" * 300_000, b'; filename="a.mp3"\r\nContent-Type: audio/mpeg')
END = b"--xx--\r\n"


@pytest.mark.parametrize(
    "body",
    [
        part("model", b"whisper-1") + FILE + END,
        FILE + part("model", b"whisper-1") + END,
        FILE + FILE + part("language", b"en") + part("model", b"whisper-1") + FILE + END,
        part("model", b"whisper-1", b"\r\nContent-Type: text/plain") + END,
    ],
    ids=["first", "last", "between", "typed"],
)
def test_a_field_is_found_before_behind_and_between_files(body: bytes) -> None:
    assert read_form(MULTIPART, body, NAMES) == {"model": "whisper-1"}


@pytest.mark.parametrize(
    "content_type",
    [b'Multipart/Form-Data; boundary="xx"', b"multipart/form-data; charset=utf-8; boundary=xx"],
)
def test_a_boundary_is_found_however_it_is_written(content_type: bytes) -> None:
    assert read_form(content_type, part("user", b"u-1") + END, NAMES) == {"user": "u-1"}


def test_a_file_that_is_called_like_a_field_is_none() -> None:
    assert read_form(MULTIPART, part("model", b"x", b'; filename="model"') + END, NAMES) == {}


def test_a_field_in_a_file_is_none() -> None:
    inner = part("model", b"not-this").replace(b"--xx", b"--yy")
    assert read_form(MULTIPART, part("file", inner, b'; filename="a"') + END, NAMES) == {}


def test_a_field_that_is_cut_or_too_long_for_a_name_is_left_out() -> None:
    assert read_form(MULTIPART, part("model", b"whisper"), NAMES) == {}
    assert read_form(MULTIPART, part("model", b"m" * 600) + END, NAMES) == {}


def test_an_urlencoded_form_is_read() -> None:
    kind = b"application/x-www-form-urlencoded"
    assert read_form(kind, b"model=whisper-1&prompt=a%20b&user=u", NAMES) == {
        "model": "whisper-1",
        "user": "u",
    }


@pytest.mark.parametrize(
    "content_type", [b"", b"application/json", b"multipart/form-data", b"multipart/mixed; boundary=xx"]
)
def test_what_is_no_form_is_told_so(content_type: bytes) -> None:
    assert read_form(content_type, b"{}", NAMES) is None


@given(st.binary(), st.binary(max_size=20))
def test_no_bytes_make_it_raise(body: bytes, boundary: bytes) -> None:
    for content_type in (MULTIPART, b"multipart/form-data; boundary=" + boundary):
        found = read_form(content_type, b"--xx\r\n" + body + b"--xx", NAMES)
        assert found is None or set(found) <= set(NAMES)
