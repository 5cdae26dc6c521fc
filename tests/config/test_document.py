from __future__ import annotations

import pytest

from gateway.config.document import MAX_NODES, parse_document, parse_value
from gateway.config.errors import ConfigError


def parse(text: str, **env: str) -> dict[str, object]:
    document = parse_document(text, "f.yaml", env)
    assert not document.problems
    assert not document.unresolved
    return document.data


def fatal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_document(text, "f.yaml", {})
    return str(caught.value)


def noted(text: str, **env: str) -> list[str]:
    document = parse_document(text, "f.yaml", env)
    return [str(problem) for problem in [*document.problems, *document.unresolved.values()]]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("8787", 8787),
        ("'8787'", "8787"),
        ("1.5", 1.5),
        ("off", False),
        ('"off"', "off"),
        ("~", None),
        ("", None),
        ("2023-06-01", "2023-06-01"),
        ("=", "="),
        ("!!str 5", "5"),
        ("[a, {b: 1}]", ["a", {"b": 1}]),
    ],
)
def test_values_get_their_yaml_type_but_dates_stay_text(written: str, expected: object) -> None:
    assert parse(f"key: {written}") == {"key": expected}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("${PORT}", 9000),
        ("${GONE:-8787}", 8787),
        ('"${PORT}"', "9000"),
        ("'${PORT}'", "9000"),
        ("1${PORT}", 19000),
        ("http://h:${PORT}", "http://h:9000"),
        ("${GONE:-}", None),
        ('"${GONE:-}"', ""),
        ("${FLOW}", "{a: [1]}"),
        ("$${PORT}", "${PORT}"),
    ],
)
def test_a_value_without_quotes_gets_its_type_after_substitution(written: str, expected: object) -> None:
    assert parse(f"key: {written}", PORT="9000", FLOW="{a: [1]}") == {"key": expected}


def test_keys_are_text_as_written_and_not_substituted() -> None:
    assert parse("on: 1\n1.0: 2\n${PORT}: 3\n", PORT="x") == {"on": 1, "1.0": 2, "${PORT}": 3}


def test_an_alias_stands_for_the_value_it_names() -> None:
    assert parse("a: &t {x: 1}\nb: *t") == {"a": {"x": 1}, "b": {"x": 1}}


def test_each_value_knows_where_it_and_its_key_stand() -> None:
    document = parse_document("a:\n  b: [x,\n   '${V}']\n", "f.yaml", {"V": "v"})
    entry = document.nearest_entry(("a", "b", 1))
    assert (str(entry.key), str(entry.value), entry.variables) == ("f.yaml:3:4", "f.yaml:3:4", ("V",))
    assert str(document.nearest_entry(("a", "b")).key) == "f.yaml:2:3"
    assert str(document.nearest_entry(("a", "b")).value) == "f.yaml:2:6"
    assert document.nearest_entry(("a", "gone", "x")) == document.entries[("a",)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "f.yaml:1:1: empty; must hold"),
        ("# only a comment\n", "f.yaml:1:1: empty; must hold"),
        ("\n- a\n", "f.yaml:2:1: found a list; must be a mapping"),
        ("text", "f.yaml:1:1: found a single value; must be a mapping"),
        ("a: [1,\nb: 2", "f.yaml:2:5: not valid YAML: expected ',' or ']'"),
        ("a:\n\t- b", "f.yaml:2:1: not valid YAML: found character '\\t'"),
        ("a: {b: ${C}}", "in quotes"),
        ("a: 1\n---\nb: 2", "f.yaml:2:1: not valid YAML"),
        ("ok: 1\na: \x01", "f.yaml:2:4: a control character"),
        ("a: *gone", "f.yaml:1:4: not valid YAML: an alias that names no anchor"),
        ("a: " + "[" * 3000, "nested more than 20 levels deep"),
        ("a: " + "[" * 30 + "]" * 30, "nested more than 20 levels deep"),
        ("a: &a [*a]", "nested more than 20 levels deep"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_position(text: str, expected: str) -> None:
    assert expected in fatal(text)


def test_aliases_that_multiply_are_bounded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert f"more than {MAX_NODES:,} values" in fatal("\n".join(lines))


def test_several_mistakes_are_noted_and_do_not_hide_each_other() -> None:
    text = "a: 1\nb: {c: 1, c: 2}\na: 3\n[x]: 1\nd: !thing 4\n<<: {e: 1}\nf: ${GONE}\ng: ${"
    assert [line.split(";")[0] for line in noted(text)] == [
        "f.yaml:2:11: b.c: given twice",
        "f.yaml:3:1: a: given twice",
        "f.yaml:4:1: a key must be plain text, not a list or a mapping",
        "f.yaml:5:4: d: YAML tags are not taken here",
        "f.yaml:6:1: merge keys (<<) are not taken",
        "f.yaml:7:4: f: the environment variable GONE is not set",
        "f.yaml:8:4: g: '${' must begin ${VARIABLE} or ${VARIABLE:-default}",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "k: *s3cret",
        "k: &s3cret 1\nl: &s3cret 2",
        "k: !s3cret!x 1",
        'k: "s3cret',
        "k: s3cret: x",
        "k: ${s3cret",
    ],
)
def test_no_message_repeats_words_of_the_file(text: str) -> None:
    try:
        message = "\n".join(noted(text))
    except ConfigError as error:
        message = str(error)
    assert "s3cret" not in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [("9000", 9000), ("", None), ("[a, b]", ["a", "b"]), ("${X}", "${X}"), ('"off"', "off")],
)
def test_a_value_from_outside_is_yaml_without_substitution(text: str, expected: object) -> None:
    assert parse_value(text, "environment variable X") == expected


@pytest.mark.parametrize("text", ["[s3cret", "{s3cret: 1, s3cret: 2}", "!x s3cret"])
def test_a_value_from_outside_that_is_no_yaml_names_its_source_alone(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_value(text, "environment variable X")
    assert str(caught.value).startswith("environment variable X: ")
    assert "s3cret" not in str(caught.value)
