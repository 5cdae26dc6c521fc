from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Run

GOOD = """
default_provider: a
providers:
  a: {base_url: "http://127.0.0.1:1/v1"}
  b: {base_url: "http://127.0.0.1:2/v1"}
keys:
  - {name: app, key: "${APP_KEY}", role: [proxy, feedback]}
storage: {url: "sqlite:///here.db"}
"""


def test_a_good_file_is_summed_up_without_its_secrets(run: Run, tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(GOOD)
    shown = run("check", "-c", "my.yaml", environment={"APP_KEY": "gw-a-key-that-nobody-sees"})
    assert shown.returncode == 0
    assert shown.stdout.splitlines()[0] == "my.yaml: ok"
    assert "a, b" in shown.stdout
    assert "app (feedback, proxy)" in shown.stdout
    assert f"{tmp_path}/here.db" in shown.stdout
    assert "nobody-sees" not in shown.stdout
    assert not (tmp_path / "here.db").exists()


def test_it_shows_where_a_chat_call_to_each_provider_would_go(run: Run, tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("""
providers:
  claude: {base_url: "https://api.anthropic.com"}
  zai: {base_url: "https://api.z.ai/api/paas/v4"}
  kept: {base_url: "https://llm.test/api", version_path: keep}
  bare: {base_url: "https://llm.test", version_path: strip}
""")
    shown = run("check", "-c", "my.yaml")
    _, _, calls = shown.stdout.partition("A chat call would go to:\n")
    assert [line.split() for line in calls.splitlines()] == [
        ["claude", "https://api.anthropic.com/v1/messages"],
        ["zai", "https://api.z.ai/api/paas/v4/chat/completions"],
        ["kept", "https://llm.test/api/v1/chat/completions"],
        ["bare", "https://llm.test/chat/completions"],
    ]
    assert (shown.returncode, shown.stderr) == (0, "")


def test_a_base_url_that_ends_in_an_endpoint_is_warned_of_with_what_to_write(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "my.yaml").write_text(
        "providers: {a: {base_url: 'http://a.test/v1/chat/completions'}, b: {base_url: 'http://b.test/v1'}}"
    )
    shown = run("check", "-c", "my.yaml")
    assert shown.returncode == 0
    assert shown.stdout.startswith("my.yaml: ok\n")
    (warning,) = shown.stderr.splitlines()
    assert warning.startswith(
        "warning: my.yaml: providers.a.base_url: ends in an endpoint, /chat/completions"
    )
    assert warning.endswith("Write http://a.test/v1.")


OPEN = "server: {host: 0.0.0.0}\nproviders: {a: {base_url: 'http://a.test/v1'}}\n"


def test_what_serve_would_refuse_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "open.yaml").write_text(OPEN)
    refused = run("check", "-c", "open.yaml")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == run("serve", "-c", "open.yaml").stderr.splitlines()[-1] + "\n"
    assert "server.host: 0.0.0.0 can be reached" in refused.stderr

    run("keys", "create", "app", "--role", "proxy", "-c", "open.yaml")
    assert run("check", "-c", "open.yaml").returncode == 0

    (tmp_path / "tls.yaml").write_text(
        "providers: {a: {base_url: 'https://a.test/v1', ca_file: absent.pem}}\n"
    )
    assert "absent.pem" in run("check", "-c", "tls.yaml").stderr


def test_the_environment_names_the_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(GOOD)
    named = {"APP_KEY": "x" * 32, "GATEWAY_CONFIG": "my.yaml"}
    assert run("check", environment=named).stdout.startswith("my.yaml: ok\n")


def test_every_problem_is_a_line_that_begins_with_its_place(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(GOOD + "server: {port: high, colour: red}\n")
    refused = run("check", "-c", "bad.yaml")
    assert refused.returncode == 2
    assert refused.stdout == ""
    lines = refused.stderr.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("bad.yaml:") for line in lines)
    assert "APP_KEY" in lines[0]
    assert "server.port" in lines[1]
    assert "server.colour" in lines[2]


def test_without_c_the_file_in_the_working_directory_is_taken(run: Run, tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("providers: {mine: {base_url: 'http://127.0.0.1:1/v1'}}")
    shown = run("check")
    assert shown.stdout.startswith("gateway.yaml: ok\n")
    assert "mine" in shown.stdout


def test_without_any_file_the_packaged_one_is_good_with_no_variable_set(run: Run) -> None:
    shown = run("check", environment={"OPENAI_API_KEY": "", "ANTHROPIC_API_KEY": ""})
    assert shown.returncode == 0
    assert "openai, anthropic, local" in shown.stdout


def test_a_file_that_is_not_there_is_bad_configuration(run: Run) -> None:
    refused = run("check", "-c", "absent.yaml")
    assert refused.returncode == 2
    assert refused.stderr.startswith("absent.yaml: cannot be read")
