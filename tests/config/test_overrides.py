from __future__ import annotations

import json

import pytest

from .conftest import PROVIDER, Load, Refuse


def test_a_variable_stands_over_the_file_and_a_flag_over_both(load: Load) -> None:
    text = PROVIDER + "server: {port: 1, drain_seconds: 1, host: '::1'}"
    env = {"GATEWAY__SERVER__PORT": "2", "GATEWAY__SERVER__DRAIN_SECONDS": "2"}
    server = load(text, env, **{"server.port": 3}).server
    assert (server.port, server.drain_seconds, server.host) == (3, 2, "::1")


def test_a_flag_that_was_not_given_changes_nothing(load: Load) -> None:
    assert load(PROVIDER + "server: {port: 1}", **{"server.port": None}).server.port == 1


def test_names_match_in_any_case_and_with_underscores_for_what_names_cannot_hold(load: Load) -> None:
    text = "providers: {My-Own.llm: {base_url: http://a/v1}}"
    config = load(text, {"gateway__Providers__MY_OWN_LLM__Base_Url": "http://b/v1"})
    assert {name: provider.base_url for name, provider in config.providers.items()} == {
        "My-Own.llm": "http://b/v1"
    }


def test_a_provider_that_the_file_does_not_have_is_added(load: Load) -> None:
    env = {
        "GATEWAY__PROVIDERS__OTHER__BASE_URL": "http://b/v1",
        "GATEWAY__PROVIDERS__OTHER__TIMEOUTS__TOTAL": "5",
    }
    config = load(PROVIDER, env)
    assert list(config.providers) == ["local", "other"]
    assert config.providers["other"].timeouts.total == 5


def test_values_are_yaml_and_replace_lists_and_mappings_whole(load: Load) -> None:
    env = {
        "GATEWAY__SERVER__ALLOW_CUSTOM_HOSTS": "[https://b.example]",
        "GATEWAY__LOGGING": "{level: error}",
        "GATEWAY__KEYS": "[{name: app, key: s3cret, role: proxy}]",
        "GATEWAY__STORAGE__PAYLOADS": "off",
    }
    text = (
        PROVIDER
        + "server: {allow_custom_hosts: [https://a.example, https://c.example]}\nlogging: {format: json}"
    )
    config = load(text, env)
    assert config.server.allow_custom_hosts == ("https://b.example",)
    assert (config.logging.level, config.logging.format) == ("error", "auto")
    assert config.keys[0].key.get_secret_value() == "s3cret"
    assert config.storage.payloads == "off"


def test_a_list_of_secrets_is_yaml_and_a_single_one_is_taken_as_it_is(load: Load) -> None:
    secret = "[a:secret,of]at-least-32-'characters'"
    env = {
        "GATEWAY__FEEDBACK__TOKENS__KEYS": json.dumps([secret]),
        "GATEWAY__PROVIDERS__LOCAL__API_KEY": secret,
        "GATEWAY__PROVIDERS__LOCAL__HEADERS": "{X-Team: blue}",
    }
    config = load(PROVIDER, env)
    assert [key.get_secret_value() for key in config.feedback.tokens.keys] == [secret]
    local = config.providers["local"]
    assert local.api_key is not None
    assert (local.api_key.get_secret_value(), dict(local.headers)) == (secret, {"X-Team": "blue"})


def test_a_variable_for_a_whole_section_comes_before_those_inside_it(load: Load) -> None:
    env = {"GATEWAY__SERVER__PORT": "2", "GATEWAY__SERVER": "{port: 1, drain_seconds: 1}"}
    server = load(PROVIDER, env).server
    assert (server.port, server.drain_seconds) == (2, 1)


@pytest.mark.parametrize("key", ["123456", "*star", "{brace", "null", "a:b"])
def test_a_provider_key_is_taken_as_it_is(load: Load, key: str) -> None:
    config = load(PROVIDER, {"GATEWAY__PROVIDERS__LOCAL__API_KEY": key})
    api_key = config.providers["local"].api_key
    assert api_key is not None
    assert api_key.get_secret_value() == key


def test_a_section_that_is_empty_in_the_file_can_be_filled(load: Load) -> None:
    assert load(PROVIDER + "server:\n", {"GATEWAY__SERVER__PORT": "2"}).server.port == 2


def test_setting_a_value_mends_its_missing_variable(load: Load) -> None:
    text = 'providers: {local: {base_url: http://a/v1, api_key: "${GONE}"}}'
    config = load(text, {"GATEWAY__PROVIDERS__LOCAL__API_KEY": "k"})
    assert config.providers["local"].api_key is not None


def test_variables_with_single_underscores_are_not_ours(load: Load) -> None:
    assert load(PROVIDER, {"GATEWAY_APP_KEY": "x", "GATEWAY_SERVER__PORT": "x", "MY_GATEWAY__X": "1"})


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (
            "GATEWAY__SERVER__PROT",
            "1",
            "server.prot: not a key here; did you mean port? allowed: host,",
        ),
        (
            "GATEWAY__SEVRER__PORT",
            "1",
            "sevrer: not a key here; did you mean server? allowed: server,",
        ),
        ("GATEWAY__", "1", "not a key here; allowed: server,"),
        ("GATEWAY__SERVER__PORT", "x", "server.port: found 'x'; must be a whole number"),
        ("GATEWAY__SERVER__PORT", "", "server.port: found nothing; must be a whole number"),
        ("GATEWAY__SERVER__PORT", "[1", "not valid YAML: expected ',' or ']'"),
        ("GATEWAY__SERVER", "1", "server: found a single value; must be a mapping with keys of: host,"),
        ("GATEWAY__KEYS__0__ROLE", "admin", "keys: is not a mapping; set it as a whole"),
        ("GATEWAY__PROVIDERS__V1__BASE_URL", "http://a", "providers.v1: found 'v1'; a provider's name must"),
    ],
)
def test_a_variable_that_is_wrong_is_named(refuse: Refuse, name: str, value: str, expected: str) -> None:
    (line,) = refuse(PROVIDER + "keys: [{name: a, key: b, role: read}]", {name: value})
    assert line.startswith(f"environment variable {name}: ")
    assert expected in line


def test_a_flag_inside_what_is_no_section_does_not_hide_other_problems(refuse: Refuse) -> None:
    lines = refuse(PROVIDER + "server: 5\nlogging: {level: loud}", **{"server.port": 1})
    assert [line.partition(";")[0] for line in lines] == [
        "gateway.yaml:2:9: server: found a single value",
        "gateway.yaml:3:18: logging.level: found 'loud'",
        "command line: server: is not a mapping",
    ]


def test_a_flag_that_is_wrong_is_named(refuse: Refuse) -> None:
    assert refuse(PROVIDER, **{"server.port": 99999}) == [
        "command line: server.port: found 99999; must be less than or equal to 65535"
    ]
