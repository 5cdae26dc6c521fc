"""Sign-in, sign-out, the start page and the files that pages load."""

from aiohttp import web

from gateway.auth.sign_ins import COOKIE, DOCS_COOKIE, SIGN_IN_SECONDS, refuse_foreign_forms
from gateway.errors import Forbidden, NotFound, Unauthorized
from gateway.models.principal import OPEN_ACCESS, Principal
from gateway.ui.page import START_PAGE, Pages, html_response, return_page, static_response
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
        return await self._form(return_page(request.query.get("next", "")), None)

    @Endpoint("POST", "/ui/sign-in", None, "Sign in with a gateway key", failures=(400, 401, 403))
    async def _sign_in(self, request: web.Request, _: Principal) -> web.Response:
        """Takes the form of that page, and sets a cookie that lasts 12 hours or until the key is revoked."""
        refuse_foreign_forms(request.headers)
        fields = await self._pages.read_form(request, OPEN_ACCESS)
        target = return_page(fields.get("next", ""))
        try:
            sign_in = await self._pages.sign_ins.sign_in(fields.get("key", ""))
        except (Unauthorized, Forbidden) as error:
            problem = f"{error.message[:1].upper()}{error.message[1:]} {error.hint or ''}"
            return await self._form(target, problem.strip(), error.status)
        response = web.HTTPSeeOther(target)
        for name, path in _COOKIES:
            response.set_cookie(
                name,
                sign_in.token,
                max_age=SIGN_IN_SECONDS,
                path=path,
                secure=base_url(request).startswith("https:"),
                httponly=True,
                samesite="Strict",
            )
        raise response

    @Endpoint("POST", "/ui/sign-out", ANY_ROLE, "Sign out")
    async def _sign_out(self, request: web.Request, principal: Principal) -> web.Response:
        await self._pages.read_form(request, principal)
        if (token := request.cookies.get(COOKIE)) is not None:
            await self._pages.sign_ins.sign_out(token)
        response = web.HTTPSeeOther("/ui/sign-in")
        for name, path in _COOKIES:
            response.del_cookie(name, path=path, httponly=True, samesite="Strict")
        raise response

    async def _form(self, target: str, problem: str | None, status: int = 200) -> web.Response:
        form_token = await self._pages.sign_ins.form_token(None)
        page = self._pages.templates.get_template("sign_in.html")
        return html_response(page.render(next=target, problem=problem, form_token=form_token), status)
