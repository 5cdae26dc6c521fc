from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import ConfigError, load_config
from gateway.config.errors import Location, Problem
from gateway.config.loader import MAX_FILE_BYTES
from gateway.errors import GatewayError

from .conftest import PROVIDER, Load, Refuse


def test_a_file_with_one_provider_is_enough(load: Load) -> None:
    config = load(PROVIDER)
    assert list(config.providers) == ["local"]
    assert (config.server.host, config.server.port, config.keys) == ("127.0.0.1", 8787, ())


def test_a_section_without_keys_counts_as_left_out(load: Load) -> None:
    assert load(PROVIDER + "server:\nkeys:\nlogging: # nothing\n").server.port == 8787


def test_without_a_file_the_provider_can_come_from_a_flag_or_the_environment() -> None:
    flagged = load_config(None, {}, {"providers.demo.base_url": "http://a/v1", "default_provider": "demo"})
    named = load_config(None, {"GATEWAY__PROVIDERS__DEMO__BASE_URL": "http://a/v1"})
    assert flagged.providers == named.providers
    assert flagged.default_provider == "demo"


def test_without_a_file_and_without_a_provider_the_ways_to_give_one_are_named() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, {})
    message = str(caught.value)
    assert message.startswith("configuration: providers: missing; ")
    assert "-c" in message
    assert "GATEWAY__PROVIDERS__" in message
    assert "--demo" in message


def test_all_problems_are_told_at_once_in_the_order_of_the_file(refuse: Refuse) -> None:
    text = """\
    server: {port: 99999}
    storage:
      durability: always
      durability: commit
    providers:
      local:
        base_ur: http://127.0.0.1:11434/v1
        api_key: "${GONE}"
      anthropic:
        base_url: https://api.anthropic.com/v1
        timeouts: {connect: 0}
    keys:
      - {name: app, role: proxy}
    """
    lines = refuse(text, {"GATEWAY__LOGGING__LEVEL": "loud"})
    assert [line.partition(";")[0] for line in lines] == [
        "gateway.yaml:1:16: server.port: found 99999",
        "gateway.yaml:3:15: storage.durability: found 'always'",
        "gateway.yaml:4:3: storage.durability: given twice",
        "gateway.yaml:7:5: providers.local.base_url: missing",
        "gateway.yaml:7:5: providers.local.base_ur: not a key here",
        "gateway.yaml:8:14: providers.local.api_key: the environment variable GONE is not set",
        "gateway.yaml:11:25: providers.anthropic.timeouts.connect: found 0",
        "gateway.yaml:13:5: keys[0].key: missing",
        "environment variable GATEWAY__LOGGING__LEVEL: logging.level: found 'loud'",
    ]


def test_a_problem_has_its_parts(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(PROVIDER + "server:\n  port: x\n")
    with pytest.raises(GatewayError) as caught:
        load_config(file, {})
    assert isinstance(caught.value, ConfigError)
    assert caught.value.problems == (
        Problem(Location(str(file), 3, 9), "server.port", "found 'x'; must be a whole number"),
    )


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml: cannot be read: no such file"):
        load_config(tmp_path / "gone.yaml", {})


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: is a directory"):
        load_config(tmp_path, {})


def test_a_file_that_is_not_utf8_is_refused_where_it_stops_being_so(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_bytes(b"server:\n  host: caf\xe9\n")
    with pytest.raises(ConfigError, match=r":2:12: found byte 0xe9; the file must be UTF-8"):
        load_config(file, {})


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + PROVIDER.encode())
    assert load_config(file, {}).providers


def test_a_file_that_never_ends_is_not_read_to_its_end() -> None:
    with pytest.raises(ConfigError, match=f"longer than {MAX_FILE_BYTES:,} bytes"):
        load_config(Path("/dev/zero"), {})


def test_relative_paths_are_left_to_the_working_directory(load: Load) -> None:
    config = load(
        "storage: {url: 'sqlite:///logs/a.db'}\nproviders: {a: {base_url: http://a, ca_file: certs/ca.pem}}"
    )
    assert config.storage.url == "sqlite:///logs/a.db"
    assert config.providers["a"].ca_file == "certs/ca.pem"


SECRET = "s3cret-Value"


@pytest.mark.parametrize(
    "text",
    [
        f"providers: {{a: {{base_url: 'x', api_key: '{SECRET} with spaces'}}}}",
        f"providers: {{a: {{base_url: http://a, api_key: [{SECRET}]}}}}",
        f"providers: {{a: {{base_url: http://a, api_kye: {SECRET}}}}}",
        f"providers: {{a: {{base_url: 'http://me:{SECRET}@a/v1'}}}}",
        f"providers: {{a: {SECRET}}}",
        f"providers: {{a: {{base_url: http://a, headers: {{x-key: ['{SECRET}']}}}}}}",
        f'providers: {{a: {{base_url: http://a, headers: {{x-key: "{SECRET}\\n"}}}}}}',
        f"{PROVIDER}keys: [{{name: a, key: '{SECRET} x', role: admin}}]",
        f"{PROVIDER}keys: [{{name: a, key: 'sha256:{SECRET}', role: admin}}]",
        f"{PROVIDER}keys: [{{name: a, key: {SECRET}, role: x}}, {{name: b, key: {SECRET}, role: y}}]",
        f"{PROVIDER}keys: [{{name: a, key: {SECRET}, role: read}}, {{name: b, key: {SECRET}, role: read}}]",
        f"{PROVIDER}keys: [{SECRET}]",
        f"{PROVIDER}keys: {SECRET}",
        f"{PROVIDER}storage: {{url: 'postgres://me:{SECRET}@db/'}}",
        'providers: {a: {base_url: http://a, api_key: "${MY} x"}}',
        'providers: {a: {base_url: "${MY_KEY}"}}',
        f'{PROVIDER}logging: {{level: "${{MY_TOKEN}}"}}',
    ],
)
def test_a_secret_is_in_no_message(refuse: Refuse, text: str) -> None:
    env = dict.fromkeys(("MY", "MY_KEY", "MY_TOKEN"), SECRET)
    assert SECRET not in "\n".join(refuse(text, env))


def test_a_number_as_a_key_is_refused_without_showing_it(refuse: Refuse) -> None:
    (line,) = refuse("providers: {a: {base_url: http://a, api_key: 12345678}}")
    assert "must be text" in line
    assert "12345678" not in line


def test_a_value_from_a_variable_that_is_no_secret_is_shown_with_its_origin(refuse: Refuse) -> None:
    (line,) = refuse(PROVIDER + 'server: {port: "${PORT}"}', {"PORT": "http"})
    assert line.endswith("server.port: found 'http' (from ${PORT}); must be a whole number")
