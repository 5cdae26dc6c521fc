"""Markdown of strangers: rendered, and harmless."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from gateway.ui.markdown import MAX_RENDERED_CHARS, highlight_json, markdown_to_html


class Elements(HTMLParser):
    """Collects what a browser would make elements of."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_markdown_becomes_html() -> None:
    html = markdown_to_html("# A\n\n**b** `c`\n\n| x | y |\n|---|---|\n| 1 | 2 |\n\n1. one\n")
    for part in ("<h1>A</h1>", "<strong>b</strong>", "<code>c</code>", "<td>1</td>", "<ol>"):
        assert part in html


def test_code_has_colours_as_classes() -> None:
    html = markdown_to_html("```python\nreturn 1\n```")
    assert '<span class="hl-k">return</span>' in html
    assert "style=" not in html
    assert "return" in markdown_to_html("```no-such-language\nreturn 1\n```")


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[a](javascript:alert(1))",
        "[a](data:text/html;base64,AAAA)",
        "![a](https://evil.test/pixel.png)",
        "<a href='https://evil.test' style='position:fixed' onclick='x()'>a</a>",
        "```<script>alert(1)</script>\nx\n```",
    ],
)
def test_nothing_runs_loads_or_covers_the_page(text: str) -> None:
    elements = Elements()
    elements.feed(markdown_to_html(text))
    assert {name for name, _ in elements.found} <= {"p", "pre", "code", "a"}
    assert all(attributes.keys() <= {"href", "rel", "class"} for _, attributes in elements.found)
    assert not [a for a in elements.found if (a[1].get("href") or "").startswith(("javascript:", "data:"))]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("| | a |\n|-|-|\n| x | y |", "<td></td>\n<th>a</th>"),
        ("# ", "<p></p>"),
        ("[](https://example.com/x)", ">https://example.com/x</a>"),
        ("[![a photo](https://example.com/y.png)](https://example.com/x)", ">a photo</a>"),
        ("![](https://example.com/y.png)", "<p>https://example.com/y.png</p>"),
    ],
)
def test_what_has_no_text_has_words_for_screen_readers(text: str, shown: str) -> None:
    assert shown in markdown_to_html(text)


def test_links_tell_their_target_nothing() -> None:
    html = markdown_to_html("[a](https://example.com/x)")
    assert 'href="https://example.com/x"' in html
    assert 'rel="noopener noreferrer nofollow"' in html


def test_long_text_is_shown_as_it_is() -> None:
    html = markdown_to_html("<b>*" + "x" * MAX_RENDERED_CHARS)
    assert html.startswith('<pre class="plain">&lt;b&gt;*')


def test_json_is_escaped_with_and_without_colours() -> None:
    for length in (1, 100_000):
        html = highlight_json('{"a": "<script>' + "x" * length + '"}')
        assert "<script>" not in html
        assert "&lt;script&gt;" in html
