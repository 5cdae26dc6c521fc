"""What a caller wants kept out of the log."""

from __future__ import annotations

import pytest

from gateway.domain.exchange import Omission
from gateway.errors import BadInput
from gateway.proxy.headers import read_request_head
from gateway.proxy.omission import read_omission


def omission(*fields: tuple[bytes, bytes]) -> Omission:
    return read_omission(read_request_head(fields))


@pytest.mark.parametrize(
    ("fields", "omitted"),
    [
        ((), Omission()),
        (((b"Helicone-Omit-Request", b"true"),), Omission(request=True)),
        (((b"helicone-omit-response", b"True"),), Omission(response=True)),
        (((b"HELICONE-OMIT-REQUEST", b"true"), (b"Helicone-Omit-Response", b"true")), Omission(True, True)),
        (((b"Helicone-Omit-Request", b"false"), (b"Helicone-Omit-Response", b"FALSE")), Omission()),
    ],
)
def test_each_side_is_omitted_where_its_header_says_true(
    fields: tuple[tuple[bytes, bytes], ...], omitted: Omission
) -> None:
    assert omission(*fields) == omitted


@pytest.mark.parametrize("value", [b"", b"1", b"yes", b"true, true", b"\xff"])
@pytest.mark.parametrize("name", [b"Helicone-Omit-Request", b"Helicone-Omit-Response"])
def test_a_value_that_leaves_doubt_is_refused_by_name(name: bytes, value: bytes) -> None:
    with pytest.raises(BadInput, match="true or false") as refusal:
        omission((name, value))
    assert refusal.value.field == name.lower().decode()
