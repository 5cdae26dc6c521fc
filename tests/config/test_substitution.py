from __future__ import annotations

import pytest

from gateway.config.document import UnresolvedVariable, expand_variables

ENV = {"HOST": "h", "PORT": "1", "EMPTY": "", "TRICK": "${HOST}"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain $HOST {x} $ $$", "plain $HOST {x} $ $$"),
        ("http://${HOST}:${PORT}/v1", "http://h:1/v1"),
        ("${HOST:-other}", "h"),
        ("${GONE:-other}", "other"),
        ("${GONE:-}", ""),
        ("${GONE:-a:-b c/$}", "a:-b c/$"),
        ("${EMPTY}", ""),
        ("${EMPTY:-other}", "other"),
        ("$${HOST}", "${HOST}"),
        ("$$${HOST}", "$${HOST}"),
        ("$${${HOST}", "${h"),
        ("${TRICK}", "${HOST}"),
    ],
)
def test_variables_are_put_in_as_a_shell_would(text: str, expected: str) -> None:
    assert expand_variables(text, ENV).text == expected


def test_the_variables_that_went_in_are_told() -> None:
    assert expand_variables("${HOST}${GONE:-x}${PORT:-2}$${EMPTY}", ENV).variables == ("HOST", "PORT")


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(UnresolvedVariable, match=r"variable GONE is not set.*\$\{GONE:-default\}"):
        expand_variables("${HOST} ${GONE}", ENV)


@pytest.mark.parametrize("text", ["${", "${}", "${1}", "${HOST", "${HOST:?no}", "${HOST-x}", "${ HOST }"])
def test_what_is_no_substitution_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(UnresolvedVariable, match="must begin") as caught:
        expand_variables(f"secret{text}", ENV)
    assert "secret" not in str(caught.value)
