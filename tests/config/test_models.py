from __future__ import annotations

import pytest

from gateway.config.fields import RESERVED_NAMES
from gateway.config.models import ServerConfig

from .conftest import PROVIDER, Load, Refuse

HASH = "sha256:" + "0f" * 32


def test_a_url_loses_its_trailing_slash(load: Load) -> None:
    assert load("providers: {a: {base_url: 'http://h/v1/'}}").providers["a"].base_url == "http://h/v1"


@pytest.mark.parametrize(
    "url",
    [
        "h/v1",
        "ftp://h",
        "http://",
        "http:///v1",
        "http://h:x",
        "http://h:99999",
        "http://h/?q",
        "http://h/#f",
        "http://u:p@h",
        "http://h h/v1",
        '"http://h\\n/v1"',
        "http://[::1",
    ],
)
def test_what_cannot_be_called_is_no_base_url(refuse: Refuse, url: str) -> None:
    (line,) = refuse(f"providers:\n  a:\n    base_url: {url}")
    assert line.startswith("gateway.yaml:3:15: providers.a.base_url: found ")


def test_what_becomes_of_versions_is_kept_or_stripped_or_left_to_the_base_url(
    load: Load, refuse: Refuse
) -> None:
    for written, rule in (("keep", "keep"), ("strip", "strip"), ("null", None)):
        config = load(f"providers: {{a: {{base_url: http://a, version_path: {written}}}}}")
        assert config.providers["a"].version_path == rule
    (line,) = refuse("providers:\n  a:\n    base_url: http://a\n    version_path: true")
    assert line == ("gateway.yaml:4:19: providers.a.version_path: found true; must be 'keep' or 'strip'")


def test_an_origin_has_no_path_and_is_lower_case(load: Load, refuse: Refuse) -> None:
    config = load(PROVIDER + "server: {allow_custom_hosts: ['https://LLM.example.com/']}")
    assert config.server.allow_custom_hosts == ("https://llm.example.com",)
    (line,) = refuse(PROVIDER + "server: {allow_custom_hosts: ['https://h/v1']}")
    assert "server.allow_custom_hosts[0]: found 'https://h/v1'; must be an origin" in line


@pytest.mark.parametrize("name", [*sorted(RESERVED_NAMES), "a/b", "a b", ".", "..", "-a", "'é'"])
def test_a_provider_may_not_be_called_what_its_path_could_not_be(refuse: Refuse, name: str) -> None:
    (line,) = refuse(f"providers:\n  {name}: {{base_url: http://h}}")
    assert line.startswith("gateway.yaml:2:3: providers.")
    assert "a provider's name must be" in line


def test_the_default_provider_must_be_one_that_is_there(refuse: Refuse) -> None:
    assert refuse(PROVIDER + "default_provider: nope") == [
        "gateway.yaml:2:19: default_provider: found 'nope'; must be one of the providers: local"
    ]


def test_off_without_quotes_is_a_word_where_it_is_allowed(load: Load) -> None:
    text = """\
    server: {auth: off}
    storage: {payloads: off}
    providers: {a: {base_url: http://a, payloads: off}}
    keys: [{name: a, key: b, role: admin, payloads: off}]
    """
    config = load(text)
    found = [
        config.server.auth,
        config.storage.payloads,
        config.providers["a"].payloads,
        config.keys[0].payloads,
    ]
    assert found == ["off"] * 4


@pytest.mark.parametrize(
    "written",
    [
        "server: {port: yes}",
        "server: {drain_seconds: on}",
        "server: {workers: yes}",
        "storage: {max_body_bytes: no}",
        "prices: {m: {input: yes, output: 1}}",
        "prices: {m: {input: .inf, output: 1}}",
        "prices: {m: {input: .nan, output: 1}}",
        "server: {drain_seconds: .nan}",
    ],
)
def test_a_number_is_neither_yes_nor_endless(refuse: Refuse, written: str) -> None:
    (line,) = refuse(PROVIDER + written)
    assert "number" in line


@pytest.mark.parametrize("count", ["0", "65", "1.5", "true", "null"])
def test_workers_are_counted(refuse: Refuse, count: str) -> None:
    (line,) = refuse(PROVIDER + f"server: {{workers: {count}}}")
    assert line.startswith("gateway.yaml:2:19: server.workers: found ")


def test_numbers_in_quotes_count_as_numbers(load: Load) -> None:
    server = load(PROVIDER + 'server: {port: "${PORT}", workers: "${WORKERS:-1}"}', {"PORT": "9000"}).server
    assert (server.port, server.workers) == (9000, 1)


@pytest.mark.parametrize(
    "url", ["sqlite:///", "mysql://db/x", "gateway.db", "sqlite://x", "postgresql:/db/x"]
)
def test_the_store_is_a_file_or_a_database(refuse: Refuse, url: str) -> None:
    (line,) = refuse(PROVIDER + f"storage: {{url: '{url}'}}")
    assert line.startswith(f"gateway.yaml:2:16: storage.url: found '{url}'; must be sqlite:///")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://db", "must name the database"),
        ("postgresql://db/", "must name the database"),
        ("postgresql://db/a/b", "must name the database"),
        ("postgresql://db:port/a", "a port of digits"),
        ("postgresql://me:50%#@db/a", "must spell #"),
        ("postgresql://db/a#b", "must spell #"),
        ("postgresql://me:two words@db/a", "must spell #"),
    ],
)
def test_the_url_of_a_database_is_checked_without_showing_a_password(
    refuse: Refuse, url: str, message: str
) -> None:
    (line,) = refuse(PROVIDER + f"storage: {{url: '{url}'}}")
    assert message in line
    assert "two words" not in line
    assert "50%" not in line


@pytest.mark.parametrize(
    "url",
    ["postgresql://me:secret@db:5432/gateway?sslmode=require", "postgres:///gateway?host=/run/postgresql"],
)
def test_the_store_may_be_a_database_on_a_server(load: Load, url: str) -> None:
    assert load(PROVIDER + f"storage: {{url: '{url}'}}").storage.url == url


def test_an_empty_provider_key_is_none(load: Load) -> None:
    assert load('providers: {a: {base_url: http://a, api_key: "${K:-}"}}').providers["a"].api_key is None


@pytest.mark.parametrize("key", ["''", "'a b'", '"a\\n"', "'é'", "sha256:12", "sha256:" + "0F" * 32])
def test_a_key_that_no_header_could_hold_or_match_is_refused(refuse: Refuse, key: str) -> None:
    (line,) = refuse(PROVIDER + f"keys: [{{name: a, key: {key}, role: admin}}]")
    assert ": keys[0].key: found " in line


def test_a_key_has_a_role_or_several(load: Load) -> None:
    config = load(
        PROVIDER
        + f"keys: [{{name: a, key: b, role: read}}, {{name: c, key: '{HASH}', role: [proxy, feedback]}}]"
    )
    assert [sorted(key.roles) for key in config.keys] == [["read"], ["feedback", "proxy"]]


@pytest.mark.parametrize("role", ["[]", "root", "[proxy, root]", "1"])
def test_a_role_is_one_of_four(refuse: Refuse, role: str) -> None:
    assert all(
        "keys[0].role" in line for line in refuse(PROVIDER + f"keys: [{{name: a, key: b, role: {role}}}]")
    )


@pytest.mark.parametrize(
    ("other", "expected"),
    [("name: a, key: c", "'a' is given twice"), ("name: b, key: b", "'a' and 'b' are the same")],
)
def test_two_keys_differ_in_name_and_value(refuse: Refuse, other: str, expected: str) -> None:
    (line,) = refuse(PROVIDER + f"keys: [{{name: a, key: b, role: read}}, {{{other}, role: read}}]")
    assert line.startswith("gateway.yaml:2:7: keys: ")
    assert expected in line


@pytest.mark.parametrize("headers", ["{a b: c}", "{'': c}", "{Host: c}", '{a: "b\\r\\nc"}', "{a: 1}"])
def test_a_header_that_would_break_a_request_is_refused(refuse: Refuse, headers: str) -> None:
    (line,) = refuse(f"providers: {{a: {{base_url: http://a, headers: {headers}}}}}")
    assert ": providers.a.headers." in line


def test_a_header_may_look_like_a_date(load: Load) -> None:
    config = load("providers: {a: {base_url: http://a, headers: {anthropic-version: 2023-06-01}}}")
    assert config.providers["a"].headers == {"anthropic-version": "2023-06-01"}


def test_a_key_s_route_is_one_of_the_file(load: Load, refuse: Refuse) -> None:
    keys = "keys: [{name: app, key: gw-app-0123456789, role: proxy, route: chat}]\n"
    assert load(PROVIDER + "routes: {chat: {provider: a}}\n" + keys).keys[0].route == "chat"
    [line] = refuse(PROVIDER + keys)
    assert line.endswith("route of 'app' must be one of the routes: there are none")


def test_a_section_cannot_be_changed_once_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        ServerConfig().port = 1


SECRETS = ("first-secret-of-at-least-32-letters", "second-secret-of-at-least-32-letters")


def test_there_are_no_feedback_tokens_until_there_is_a_secret(load: Load) -> None:
    tokens = load(PROVIDER).feedback.tokens
    assert (tokens.keys, tokens.ttl_seconds, tokens.rate_limit, tokens.allow_origins) == ((), 604_800, 30, ())


def test_secrets_come_from_the_environment_and_keep_their_order(load: Load) -> None:
    text = PROVIDER + 'feedback: {tokens: {keys: ["${NEW}", "${OLD}"]}}'
    keys = load(text, dict(zip(("NEW", "OLD"), SECRETS, strict=True))).feedback.tokens.keys
    assert tuple(key.get_secret_value() for key in keys) == SECRETS
    assert SECRETS[0] not in repr(keys)


@pytest.mark.parametrize("secret", ["", "x" * 31])
def test_a_secret_that_could_be_guessed_is_refused_and_not_shown(refuse: Refuse, secret: str) -> None:
    (line,) = refuse(PROVIDER + 'feedback: {tokens: {keys: ["${TOKEN}"]}}', {"TOKEN": secret})
    assert line.startswith("gateway.yaml:2:28: feedback.tokens.keys[0]: found ")
    assert line.endswith("must be at least 32 characters long, such as `openssl rand -hex 32` makes")
    assert "xxx" not in line


def test_secrets_differ(refuse: Refuse) -> None:
    (line,) = refuse(PROVIDER + f"feedback: {{tokens: {{keys: [{SECRETS[0]}, {SECRETS[0]}]}}}}")
    assert "feedback.tokens.keys: found a list; must differ, but one is given twice" in line


def test_origins_of_pages_are_written_as_browsers_do(load: Load) -> None:
    written = "['https://App.example.com:443', 'http://localhost:80/', 'http://localhost:8080', '*']"
    origins = load(
        PROVIDER + f"feedback: {{tokens: {{allow_origins: {written}}}}}"
    ).feedback.tokens.allow_origins
    assert origins == ("https://app.example.com", "http://localhost", "http://localhost:8080", "*")


@pytest.mark.parametrize("origin", ["app.example.com", "https://a/b", "https://*.example.com/", "null", ""])
def test_what_is_no_origin_is_refused(refuse: Refuse, origin: str) -> None:
    (line,) = refuse(PROVIDER + f"feedback: {{tokens: {{allow_origins: ['{origin}']}}}}")
    assert ": feedback.tokens.allow_origins[0]: found " in line


@pytest.mark.parametrize(
    "written", ["ttl_seconds: 0", "ttl_seconds: 1.5", "rate_limit: 0", "rate_limit: yes", "secret: x"]
)
def test_odd_values_for_tokens_are_refused(refuse: Refuse, written: str) -> None:
    (line,) = refuse(PROVIDER + f"feedback: {{tokens: {{{written}}}}}")
    assert ": feedback.tokens." in line


def test_feedback_goes_to_the_endpoint_of_the_spans_or_a_url_of_its_own(load: Load, refuse: Refuse) -> None:
    for where in (
        "otlp_endpoint: http://a, feedback: {to: mlflow}",
        "feedback: {to: phoenix, url: http://a}",
    ):
        assert load(PROVIDER + f"telemetry: {{{where}}}").telemetry.payloads is False
    (line,) = refuse(PROVIDER + "telemetry: {feedback: {to: phoenix}}")
    assert line.endswith("found a mapping; must have url, or telemetry.otlp_endpoint must be given")


def test_whether_payloads_are_told_is_true_or_false(refuse: Refuse) -> None:
    (line,) = refuse(PROVIDER + "telemetry: {payloads: full}")
    assert line.endswith("telemetry.payloads: found 'full'; must be true or false")
