"""How a provider's key is sent, as the configuration says it."""

from __future__ import annotations

import pytest

from .conftest import Load, Refuse

KINDS = "must be bearer, x-api-key, api-key, x-goog-api-key, or {header: NAME} for any other header"


@pytest.mark.parametrize("auth", ["bearer", "x-api-key", "api-key", "x-goog-api-key"])
def test_a_providers_key_is_sent_in_a_header_of_a_few_or_in_any(load: Load, auth: str) -> None:
    for written, kept in ((auth, auth), ("{header: X-Team-Pass}", {"header": "X-Team-Pass"})):
        config = load(f"providers: {{a: {{base_url: http://a, api_key: k, auth: {written}}}}}")
        assert config.providers["a"].auth == kept


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        (
            "xi-api-key",
            "must be bearer, x-api-key, api-key, x-goog-api-key, or {header: NAME} for any other header",
        ),
        (
            "null",
            "must be bearer, x-api-key, api-key, x-goog-api-key, or {header: NAME} for any other header",
        ),
        (
            "[bearer]",
            "must be bearer, x-api-key, api-key, x-goog-api-key, or {header: NAME} for any other header",
        ),
        ("{name: xi-api-key}", "must be {header: NAME}, with the name of a header"),
        ("{header: 1}", "must be {header: NAME}, with the name of a header"),
        ("{header: 'a b'}", "must be the name of a header, and none of"),
        ("{header: Host}", "must be the name of a header, and none of"),
    ],
)
def test_any_other_way_to_send_a_key_is_refused_in_one_line(refuse: Refuse, auth: str, expected: str) -> None:
    (line,) = refuse(f"providers:\n  a:\n    base_url: http://a\n    auth: {auth}")
    assert line.startswith("gateway.yaml:4:11: providers.a.auth: found ")
    assert expected in line


@pytest.mark.parametrize(
    ("auth", "name"),
    [("bearer", "Authorization"), ("api-key", "Api-Key"), ("{header: X-Pass}", "x-pass")],
)
def test_headers_may_not_name_the_one_in_which_the_key_goes(
    load: Load, refuse: Refuse, auth: str, name: str
) -> None:
    lines = f"providers:\n  a:\n    base_url: http://a\n    auth: {auth}\n    headers: {{{name}: canary}}"
    assert load(lines).providers["a"].headers == {name: "canary"}
    (line,) = refuse(lines + "\n    api_key: k")
    assert f"must not have {name.lower()}, in which api_key is sent; leave out one of the two" in line
    assert "canary" not in line
