"""Sign-in, sign-out, the start page and the files that pages load."""

from collections.abc import Mapping

from aiohttp import web

from gateway.auth.sign_ins import COOKIE, DOCS_COOKIE, SIGN_IN_SECONDS, refuse_foreign_forms
from gateway.errors import Forbidden, NotFound, Unauthorized
from gateway.models.principal import OPEN_ACCESS, Principal
from gateway.ui.page import (
    KEPT_FORMS,
    KEPT_PREFIX,
    START_PAGE,
    Pages,
    html_response,
    return_page,
    static_response,
)
from gateway.web.endpoint import ANY_ROLE, Endpoint, base_url

_COOKIES = ((COOKIE, "/ui"), (DOCS_COOKIE, "/docs"))

# For programs that ask for `/`.
_LINKS = {
    "ui": "/ui/",
    "docs": "/docs",
    "openapi": "/openapi.json",
    "proxy": "/v1",
    "feedback": "/v1/feedback",
    "health": "/healthz",
}


class SignInPages:
    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    @Endpoint("GET", "/", None, "Where to find what")
    async def _start(self, request: web.Request, _: Principal) -> web.Response:
        """Sends browsers to the pages, and tells programs the paths."""
        if "text/html" in request.headers.get("Accept", "") and request.method == "GET":
            raise web.HTTPFound("/ui/")
        return web.json_response(_LINKS)

    @Endpoint("GET", "/ui", None, "The start page")
    async def _home(self, request: web.Request, _: Principal) -> web.Response:
        raise web.HTTPFound(START_PAGE)

    @Endpoint("GET", "/ui/static/{name}", None, "A file of the pages", failures=(404,))
    async def _static(self, request: web.Request, _: Principal) -> web.Response:
        response = static_response(request.match_info["name"], request.query.get("v"))
        if response is None:
            raise NotFound("the pages have no such file.")
        if request.headers.get("If-None-Match") == response.headers["ETag"]:
            raise web.HTTPNotModified(headers={"ETag": response.headers["ETag"]})
        return response

    @Endpoint("GET", "/ui/sign-in", None, "The page to sign in")
    async def _show(self, request: web.Request, _: Principal) -> web.Response:
        if self._pages.sign_ins.keys.is_open:
            raise web.HTTPFound(START_PAGE)
        return html_response(await self._pages.render_sign_in(return_page(request.query.get("next", ""))))

    @Endpoint("POST", "/ui/sign-in", None, "Sign in with a gateway key", failures=(400, 401, 403))
    async def _sign_in(self, request: web.Request, _: Principal) -> web.Response:
        """Takes the form of that page, and sets a cookie that lasts 12 hours or until the key is revoked."""
        refuse_foreign_forms(request.headers)
        fields = await self._pages.read_form(request, OPEN_ACCESS)
        target, kept = return_page(fields.get("next", "")), _kept_form(fields)
        try:
            sign_in = await self._pages.sign_ins.sign_in(fields.get("key", ""))
        except (Unauthorized, Forbidden) as error:
            problem = f"{error.message[:1].upper()}{error.message[1:]} {error.hint or ''}"
            return html_response(
                await self._pages.render_sign_in(target, problem.strip(), kept), error.status
            )
        if kept is None:
            leads = web.HTTPSeeOther(target)
            _set_cookies(leads, request, sign_in.token)
            raise leads
        page = await self._pages.render_kept_form(*kept, sign_in.token, sign_in.name)
        response = html_response(page)
        _set_cookies(response, request, sign_in.token)
        return response

    @Endpoint("POST", "/ui/sign-out", ANY_ROLE, "Sign out")
    async def _sign_out(self, request: web.Request, principal: Principal) -> web.Response:
        await self._pages.read_form(request, principal)
        if (token := request.cookies.get(COOKIE)) is not None:
            await self._pages.sign_ins.sign_out(token)
        response = web.HTTPSeeOther("/ui/sign-in")
        for name, path in _COOKIES:
            response.del_cookie(name, path=path, httponly=True, samesite="Strict")
        raise response


def _set_cookies(response: web.Response, request: web.Request, token: str) -> None:
    for name, path in _COOKIES:
        response.set_cookie(
            name,
            token,
            max_age=SIGN_IN_SECONDS,
            path=path,
            secure=base_url(request).startswith("https:"),
            httponly=True,
            samesite="Strict",
        )


def _kept_form(fields: Mapping[str, str]) -> tuple[str, dict[str, str]] | None:
    path = fields.get("kept_path", "")
    if path not in KEPT_FORMS:
        return None
    own = {
        name.removeprefix(KEPT_PREFIX): text for name, text in fields.items() if name.startswith(KEPT_PREFIX)
    }
    return path, own
