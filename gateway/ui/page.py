"""Renders pages: templates, security headers, compression, static files, forms, errors."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from urllib.parse import parse_qsl, quote

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from gateway import __version__
from gateway.auth.sign_ins import COOKIE, SignIns, refuse_foreign_forms
from gateway.errors import Ambiguous, BadInput, Forbidden, GatewayError, Unauthorized
from gateway.models.ids import path_segment
from gateway.models.metrics import percentile_us
from gateway.models.principal import OPEN_ACCESS, Principal, Role
from gateway.models.request import METADATA_KEYS
from gateway.query.requests import RequestReader
from gateway.reviews.queue import reviewer_of
from gateway.ui import formats
from gateway.ui.markdown import markdown_to_html
from gateway.web.bodies import read_body
from gateway.web.middleware import authenticate

START_PAGE = "/ui/feedback"

FORM_TOKEN = "form_token"
# Forms whose texts are kept where their sign-in has ended, by path: what people write, and no act of an admin.
KEPT_FORMS = {"/ui/feedback": "feedback", "/ui/reviews": "review"}
# Before the names of kept fields in the form that signs in.
KEPT_PREFIX = "kept."
# Fields that a kept form shows; the others are hidden in it.
_TYPED_FIELDS = ("text", "note")
_FORM_CONTENT_TYPE = "application/x-www-form-urlencoded"
# Holds MAX_TEXT where each character takes nine bytes.
_MAX_FORM_BYTES = 1024 * 1024
_MAX_FORM_FIELDS = 100
# Of a comment or an edit, in characters.
MAX_TEXT = 100_000
# A page shorter than this gains nothing from compression.
_MIN_COMPRESSED_BYTES = 1024
_YEAR_SECONDS = 31_536_000

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex",
    # Addresses of pages hold what was searched for.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_CONTENT_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

_ERROR_HEADINGS = {
    400: "That cannot be done as it was asked",
    401: "You are signed out",
    403: "This key may not do that",
    404: "There is nothing here",
    409: "That is taken",
    503: "The gateway is busy",
    504: "That took too long",
}


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of the bar on every page."""

    name: str
    path: str
    # Pressed after `g`.
    key: str
    role: Role = Role.READ


PLACES = (
    Place("Feedback", "/ui/feedback", "f"),
    Place("Compare", "/ui/compare", "c"),
    Place("Overview", "/ui/overview", "o"),
    Place("Alerts", "/ui/alerts", "a"),
    Place("Requests", "/ui/requests", "r"),
    Place("Sessions", "/ui/sessions", "s"),
    Place("Users", "/ui/users", "u"),
    Place("Datasets", "/ui/datasets", "d"),
    Place("Exports", "/ui/exports", "e"),
    Place("Settings", "/ui/settings", "t"),
)


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file that pages load, under a URL that changes with its content."""

    content: bytes
    content_type: str
    version: str


@cache
def _static_files() -> Mapping[str, StaticFile]:
    found = {}
    for entry in files("gateway.ui").joinpath("static").iterdir():
        suffix = entry.name[entry.name.rfind(".") :]
        if suffix in _CONTENT_TYPES:
            content = entry.read_bytes()
            version = hashlib.sha256(content).hexdigest()[:12]
            found[entry.name] = StaticFile(content, _CONTENT_TYPES[suffix], version)
    return found


def return_page(wanted: str) -> str:
    """Return the page that a form asks to go back to, if it is one of ours."""
    # Anything else could lead to another site.
    is_own = wanted.startswith(("/ui/", "/docs")) and wanted.isprintable() and "\\" not in wanted
    return wanted if is_own and "/ui/sign-" not in wanted else START_PAGE


def static_url(name: str) -> str:
    """Return the URL of a static file, which browsers may keep forever."""
    return f"/ui/static/{name}?v={_static_files()[name].version}"


def static_response(name: str, version: str | None) -> web.Response | None:
    """Return a static file; None where there is none of this name.

    Args:
        version: from the URL; modules import each other without one.
    """
    file = _static_files().get(name)
    if file is None:
        return None
    headers = {
        "Cache-Control": f"public, max-age={_YEAR_SECONDS}, immutable"
        if version == file.version
        else "no-cache",
        "X-Content-Type-Options": "nosniff",
        "ETag": f'"{file.version}"',
    }
    response = web.Response(
        body=file.content, content_type=file.content_type, charset="utf-8", headers=headers
    )
    response.enable_compression()
    return response


class Pages:
    """Renders templates for the person who reads them, and reads the forms that come back.

    Args:
        requests: tells whether a tenant sees any, and whether they are made up; None for pages without data.
        export_formats: names and descriptions of the formats that lists are exported in.
    """

    def __init__(
        self,
        sign_ins: SignIns,
        requests: RequestReader | None = None,
        export_formats: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._export_formats = export_formats
        self.sign_ins = sign_ins
        self._requests = requests

    @cached_property
    def templates(self) -> Environment:
        environment = Environment(
            loader=PackageLoader("gateway.ui"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters |= formats.FILTERS
        environment.filters["markdown"] = markdown_to_html
        environment.filters["path_part"] = path_segment
        environment.filters["without"] = _without
        environment.globals |= {
            "metadata_keys": METADATA_KEYS,
            "static_url": static_url,
            "pair": formats.pair,
            "interval": formats.interval,
            "percentile_us": percentile_us,
            "word_changes": formats.word_changes,
            "version": __version__,
            "max_text": MAX_TEXT,
            "Role": Role,
            "export_formats": self._export_formats,
        }
        return environment

    async def render(
        self, request: web.Request, principal: Principal, template: str, values: Mapping[str, object]
    ) -> web.Response:
        """Return a page.

        Args:
            values: variables of the template beside those of every page; `is_empty` where a list has no rows.
        """
        # An empty list says how to begin where nothing is logged at all.
        requests, tenant = self._requests, principal.tenant
        is_demo = requests is not None and await requests.has_demo_data(tenant)
        is_new = bool(values.get("is_empty")) and requests is not None and not await requests.has_any(tenant)
        form_token = await self.sign_ins.form_token(_cookie_of(request, principal))
        places = [place for place in PLACES if principal.has_role(place.role)]
        html = self.templates.get_template(template).render(
            principal=principal,
            places=places,
            path=request.path,
            reviewer=reviewer_of(principal),
            form_token=form_token,
            is_open=principal is OPEN_ACCESS,
            is_new=is_new,
            is_demo=is_demo,
            **values,
        )
        return html_response(html)

    async def read_form(self, request: web.Request, principal: Principal) -> dict[str, str]:
        """Return the fields of a form of our own pages. Raises Forbidden, BadInput, TooLarge."""
        fields = await _read_fields(request)
        cookie = _cookie_of(request, principal)
        try:
            await self.sign_ins.check_form(cookie, fields.get(FORM_TOKEN, ""))
        except Forbidden:
            # A page from before signing in again: the reader sees what it holds, and may send it.
            if request.path not in KEPT_FORMS:
                raise
            page = await self.render_kept_form(request.path, fields, cookie, principal.name)
            raise web.HTTPForbidden(text=page, content_type="text/html", headers=PAGE_HEADERS) from None
        return fields

    async def render_kept_form(
        self, path: str, fields: Mapping[str, str], cookie: str | None, name: str | None
    ) -> str:
        """Return a page that shows what was typed, to be sent by the person who signed in since."""
        return self.templates.get_template("kept_form.html").render(
            path=path,
            what=KEPT_FORMS[path],
            name=name,
            typed=[(field, fields[field]) for field in _TYPED_FIELDS if fields.get(field)],
            hidden=_without(fields, (FORM_TOKEN, *_TYPED_FIELDS)),
            back=return_page(fields.get("return_to", "")),
            form_token=await self.sign_ins.form_token(cookie),
        )

    async def render_sign_in(
        self, target: str, problem: str | None = None, kept: tuple[str, Mapping[str, str]] | None = None
    ) -> str:
        """Return the page to sign in.

        Args:
            target: where it leads.
            kept: path and fields of a form that was not taken.
        """
        return self.templates.get_template("sign_in.html").render(
            next=target,
            problem=problem,
            kept_path=None if kept is None else kept[0],
            kept=[] if kept is None else [(f"{KEPT_PREFIX}{name}", text) for name, text in kept[1].items()],
            form_token=await self.sign_ins.form_token(None),
        )

    def render_error(self, error: GatewayError) -> web.Response:
        """Return an error as a page."""
        # A message may quote a path that is not UTF-8.
        message, hint = (
            (text or "").encode(errors="replace").decode() for text in (error.message, error.hint)
        )
        html = self.templates.get_template("error.html").render(
            heading="Several things have this id"
            if isinstance(error, Ambiguous)
            else _ERROR_HEADINGS.get(error.status, "That did not work"),
            field=error.field if isinstance(error, BadInput) else None,
            message=message,
            hint=hint,
            candidates=error.candidates if isinstance(error, Ambiguous) else (),
        )
        return html_response(html, error.status)


async def _read_fields(request: web.Request) -> dict[str, str]:
    """Return the fields of any form. Raises BadInput, TooLarge."""
    if request.content_type != _FORM_CONTENT_TYPE:
        raise BadInput(f"must be a form, {_FORM_CONTENT_TYPE}; got {request.content_type}.", field="body")
    body = await read_body(request, _MAX_FORM_BYTES)
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=_MAX_FORM_FIELDS, errors="strict"
        )
    except ValueError:
        raise BadInput(
            f"must be a form in UTF-8 of at most {_MAX_FORM_FIELDS} fields.", field="body"
        ) from None
    return dict(pairs)


def _without(values: Mapping[str, object], names: tuple[str, ...]) -> dict[str, object]:
    return {name: value for name, value in values.items() if name not in names}


def _cookie_of(request: web.Request, principal: Principal) -> str | None:
    # On an open gateway a cookie of earlier times means nothing.
    return None if principal is OPEN_ACCESS else request.cookies.get(COOKIE)


def html_response(html: str, status: int = 200) -> web.Response:
    """Return a page that browsers neither keep nor show inside other pages."""
    response = web.Response(text=html, content_type="text/html", status=status, headers=PAGE_HEADERS)
    if len(html) >= _MIN_COMPRESSED_BYTES:
        response.enable_compression()
    return response


class PageAuth:
    """Finds the reader of a page by the cookie of the sign-in, else by a key in a header."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._sign_ins = pages.sign_ins

    async def __call__(self, request: web.Request) -> Principal:
        """Return the reader. Raises Forbidden; HTTPSeeOther where they have to sign in first."""
        is_form = request.method not in ("GET", "HEAD")
        if is_form:
            refuse_foreign_forms(request.headers)
        elif _follows_foreign_link(request) and (
            self._sign_ins.keys.is_open or COOKIE not in request.cookies
        ):
            # Browsers keep the cookie back from links of other sites; loaded again, the page gets it.
            reload = web.HTTPOk(text=_RELOAD, content_type="text/html", headers=PAGE_HEADERS)
            reload.set_cookie(_RELOADED, "1", max_age=_RELOADED_SECONDS, path="/ui", samesite="Lax")
            raise reload
        if self._sign_ins.keys.is_open:
            return authenticate(request.headers, self._sign_ins.keys)
        if (principal := await self._sign_ins.find(request.cookies.get(COOKIE))) is not None:
            return principal
        try:
            return authenticate(request.headers, self._sign_ins.keys)
        except Unauthorized:
            if is_form and request.path in KEPT_FORMS:
                raise await self._keep_form(request) from None
            if is_form:
                raise Unauthorized(
                    "the sign-in has ended, so nothing was saved.", hint="Sign in and do it again."
                ) from None
            raise web.HTTPSeeOther(f"/ui/sign-in?next={quote(str(request.rel_url), safe='')}") from None

    async def _keep_form(self, request: web.Request) -> web.HTTPUnauthorized:
        """Return the page to sign in, which holds what was typed until then."""
        fields = await _read_fields(request)
        target = return_page(fields.get("return_to", ""))
        problem = "Your sign-in has ended. Sign in again: what you wrote is kept."
        page = await self._pages.render_sign_in(target, problem, (request.path, fields))
        return web.HTTPUnauthorized(text=page, content_type="text/html", headers=PAGE_HEADERS)


_RELOAD = '<!doctype html><meta http-equiv="refresh" content="0"><title>One moment</title>'
# Marks a page that was loaded again, which no browser shall do twice.
_RELOADED = "gateway_reloaded"
_RELOADED_SECONDS = 5


def _follows_foreign_link(request: web.Request) -> bool:
    headers = request.headers
    return (
        headers.get("Sec-Fetch-Site") == "cross-site"
        and headers.get("Sec-Fetch-Mode") == "navigate"
        and headers.get("Sec-Fetch-Dest") == "document"
        and _RELOADED not in request.cookies
    )
