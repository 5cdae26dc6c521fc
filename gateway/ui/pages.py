"""Pages: what a voter is shown."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from gateway.errors import GatewayError
from gateway.ui.form import MAX_COMMENT, Ballot, Thumb

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    # The address opens something, so it is told to nobody and kept by no cache.
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

HEADINGS = {
    400: "That did not work",
    401: "This link does not work",
    404: "There is nothing here",
    408: "That took too long",
    413: "That was too long",
    429: "That was a little fast",
    503: "Your vote could not be kept",
}
OTHER_HEADING = "Something went wrong"


class Pages:
    """Draws the pages. They hold neither scripts nor anything from elsewhere, and allow none."""

    def form(self, chosen: Ballot, asked_at_us: int | None, problem: str | None = None) -> web.Response:
        """Return the form.

        Args:
            chosen: what is filled in already.
            asked_at_us: when the answer was asked for, if that is known.
            problem: what was wrong with the form as it was sent.
        """
        at = None if asked_at_us is None else datetime.fromtimestamp(asked_at_us // 1_000_000, UTC)
        html = self._render("vote.html", chosen=chosen, at=at, problem=problem, max_comment=MAX_COMMENT)
        return _page(html, status=400 if problem else 200)

    def thanks(self, thumb: Thumb) -> web.Response:
        """Return what is shown once a vote is kept."""
        return _page(self._render("thanks.html", thumb=thumb))

    def problem(self, error: GatewayError) -> web.Response:
        """Draw an error as a page."""
        # A message may quote a path with bytes that are no UTF-8.
        message = str(error).encode(errors="replace").decode()
        sentence = message[:1].upper() + message[1:]
        heading = HEADINGS.get(error.status, OTHER_HEADING)
        return _page(self._render("problem.html", heading=heading, message=sentence), status=error.status)

    def style(self) -> web.Response:
        """Return how all of them look."""
        headers = {"Cache-Control": "max-age=3600", "X-Content-Type-Options": "nosniff"}
        return web.Response(text=self._render("style.css"), content_type="text/css", headers=headers)

    @cached_property
    def _templates(self) -> Environment:
        return Environment(
            loader=PackageLoader("gateway.ui"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def _render(self, name: str, **values: object) -> str:
        return self._templates.get_template(name).render(values)


def _page(html: str, *, status: int = 200) -> web.Response:
    return web.Response(text=html, content_type="text/html", status=status, headers=HEADERS)
