"""Markdown of strangers as safe HTML, with highlighted code."""

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markupsafe import Markup, escape
from pygments import highlight
from pygments.formatters.html import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

# Longer texts are shown as they are: rendering them would hold up other requests.
MAX_RENDERED_CHARS = 64 * 1024
# More of one text would make a page of megabytes.
MAX_SHOWN_CHARS = 256 * 1024
# Longer code is shown without colours.
_MAX_HIGHLIGHTED_CHARS = 16 * 1024

_TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre",
    "s", "span", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
# Images are left out: loading one would tell its server who reads the answer.
_ATTRIBUTES = {"a": {"href", "title"}, "span": {"class"}, "ol": {"start"}}
_formatter = HtmlFormatter(nowrap=True, classprefix="hl-")


def _highlight(code: str, language: str, _: str) -> str:
    if not language or len(code) > _MAX_HIGHLIGHTED_CHARS:
        return ""
    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        return ""
    return str(highlight(code, lexer, _formatter))


_parser = MarkdownIt("commonmark", {"html": False, "highlight": _highlight}).enable(
    ["table", "strikethrough"]
)


def _name_what_is_empty(state: StateCore) -> None:
    """Give what has no text a form that screen readers can say: cells for headers, words for links and images."""
    for opening, content, closing in zip(state.tokens, state.tokens[1:], state.tokens[2:], strict=False):
        if opening.type in ("th_open", "heading_open") and content.type == "inline" and not content.content:
            opening.tag = closing.tag = "td" if opening.type == "th_open" else "p"
        if content.children:
            content.children = _with_words(content.children)


def _with_words(tokens: list[Token]) -> list[Token]:
    named: list[Token] = []
    for token in tokens:
        if token.type == "image":
            words = token.content or str(token.attrGet("src") or "")
            named.append(Token("text", "", 0, content=words))
            continue
        if token.type == "link_close" and named[-1].type == "link_open":
            address = str(named[-1].attrGet("href") or "")
            named.append(Token("text", "", 0, content=address))
        named.append(token)
    return named


_parser.core.ruler.push("name_what_is_empty", _name_what_is_empty)


def markdown_to_html(text: str) -> Markup:
    """Return Markdown as HTML without scripts, images, forms, styles or links to anything but the web and mail."""
    if len(text) > MAX_RENDERED_CHARS:
        shown = Markup('<pre class="plain">{}</pre>').format(text[:MAX_SHOWN_CHARS])
        if len(text) <= MAX_SHOWN_CHARS:
            return shown
        note = Markup('<p class="soft">The first {:,} of {:,} characters.</p>')
        return shown + note.format(MAX_SHOWN_CHARS, len(text))
    html = nh3.clean(
        _parser.render(text),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )
    return Markup(html)


def highlight_json(text: str) -> Markup:
    """Return JSON, which is indented already, as HTML with colours; long text without."""
    if len(text) > _MAX_HIGHLIGHTED_CHARS:
        return escape(text)
    return Markup(highlight(text, get_lexer_by_name("json"), _formatter))
