"""What a caller wants kept out of the log."""

from __future__ import annotations

import pytest

from gateway.errors import BadInput
from gateway.models.exchange import LoggingOptOut
from gateway.proxy.request_head import read_opt_out, sort_headers


def opt_out(*fields: tuple[bytes, bytes]) -> LoggingOptOut:
    return read_opt_out(sort_headers(fields))


@pytest.mark.parametrize(
    ("fields", "omitted"),
    [
        ((), LoggingOptOut()),
        (((b"Helicone-Omit-Request", b"true"),), LoggingOptOut(request=True)),
        (((b"helicone-omit-response", b"True"),), LoggingOptOut(response=True)),
        (
            ((b"HELICONE-OMIT-REQUEST", b"true"), (b"Helicone-Omit-Response", b"true")),
            LoggingOptOut(True, True),
        ),
        (((b"Helicone-Omit-Request", b"false"), (b"Helicone-Omit-Response", b"FALSE")), LoggingOptOut()),
    ],
)
def test_each_side_is_omitted_where_its_header_says_true(
    fields: tuple[tuple[bytes, bytes], ...], omitted: LoggingOptOut
) -> None:
    assert opt_out(*fields) == omitted


@pytest.mark.parametrize("value", [b"", b"1", b"yes", b"true, true", b"\xff"])
@pytest.mark.parametrize("name", [b"Helicone-Omit-Request", b"Helicone-Omit-Response"])
def test_a_value_that_leaves_doubt_is_refused_by_name(name: bytes, value: bytes) -> None:
    with pytest.raises(BadInput, match="true or false") as refusal:
        opt_out((name, value))
    assert refusal.value.field == name.lower().decode()
