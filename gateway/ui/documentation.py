"""`/docs`: the first call, and a page for each group of operations, open to all."""

import hashlib
from functools import cached_property

from aiohttp import web
from markupsafe import Markup, escape

from gateway.auth.sign_ins import DOCS_COOKIE, SignIns
from gateway.errors import NotFound, StoreUnavailable
from gateway.models.principal import OPEN_ACCESS, Principal
from gateway.ui import api_reference
from gateway.ui.api_reference import BASE_URL, Group, Operation
from gateway.ui.page import PAGE_HEADERS, PLACES, Pages, html_response
from gateway.web.endpoint import Api, Endpoint, base_url, endpoints_of
from gateway.web.openapi import OpenApi

_MAX_SEARCH_CHARS = 100

# Feedback in each dialect: whose clients send it, and the operation that takes it.
_FIRST_FEEDBACK = (
    ("This gateway", "post_api_v1_feedback"),
    ("Portkey", "post_v1_feedback"),
    ("Helicone", "post_v1_request_request_id_feedback"),
    ("PhariaAI", "post_feedback"),
)


def documentation_api(sign_ins: SignIns, openapi: OpenApi) -> Api:
    """Return the pages at `/docs`, which need no key and no store."""
    pages = _DocumentationPages(sign_ins, openapi)
    return Api(
        name="documentation",
        prefixes=("/docs",),
        endpoints=endpoints_of(pages),
        render_error=pages.pages.render_error,
        is_documented=False,
    )


class _DocumentationPages:
    def __init__(self, sign_ins: SignIns, openapi: OpenApi) -> None:
        self.pages = Pages(sign_ins)
        self._sign_ins = sign_ins
        self._openapi = openapi
        # By group, and by whether the gateway is open.
        self._contents: dict[tuple[str, bool], Markup] = {}
        environment = self.pages.templates
        environment.filters["prose"] = api_reference.prose_to_html
        environment.filters["inline"] = api_reference.inline_to_html
        environment.filters["breakable"] = api_reference.breakable

    @cached_property
    def _groups(self) -> dict[str, Group]:
        return {group.tag.slug: group for group in api_reference.read_groups(self._openapi.document)}

    @Endpoint("GET", "/docs", None, "The documentation of the API")
    async def _show_index(self, request: web.Request, _: Principal) -> web.Response:
        if words := request.query.get("q", "")[:_MAX_SEARCH_CHARS].lower().split():
            return await self._send(request, self._results(words), "Search")
        return await self._send(request, self._content(""), "API")

    @Endpoint("GET", "/docs/{group}", None, "The documentation of a group of operations", failures=(404,))
    async def _show_group(self, request: web.Request, _: Principal) -> web.Response:
        slug = request.match_info["group"]
        if slug not in self._groups:
            raise NotFound(
                "the documentation has no such page.", hint=f"It has {', '.join(self._groups)}, at /docs/…"
            )
        return await self._send(request, self._content(slug), self._groups[slug].tag.name)

    def _content(self, slug: str) -> Markup:
        # Rendered once, since it is large and the same for all readers but for the URL.
        is_open = self._sign_ins.keys.is_open
        key = (slug, is_open)
        if key not in self._contents:
            self._contents[key] = self._render(slug, is_open=is_open)
        return self._contents[key]

    def _render(self, slug: str, *, is_open: bool, words: str = "") -> Markup:
        operations = {each.id: each for group in self._groups.values() for each in group.operations}
        template = self.pages.templates.get_template("documentation_content.html")
        return Markup(
            template.render(
                groups=self._groups,
                current=self._groups.get(slug),
                words=words,
                found=self._find(words.split()) if words else None,
                is_open=is_open,
                base_url=BASE_URL,
                first_feedback=[
                    (name, operations[each]) for name, each in _FIRST_FEEDBACK if each in operations
                ],
                key_headers=api_reference.key_headers(),
                statuses=self._groups[slug].statuses() if slug else (),
                introduction=self._openapi.document["info"],
            )
        )

    def _results(self, words: list[str]) -> Markup:
        return self._render("", is_open=self._sign_ins.keys.is_open, words=" ".join(words))

    def _find(self, words: list[str]) -> list[tuple[str, Operation]]:
        return [
            (slug, operation)
            for slug, group in self._groups.items()
            for operation in group.operations
            if operation.matches(words)
        ]

    async def _send(self, request: web.Request, content: Markup, title: str) -> web.Response:
        cookie = request.cookies.get(DOCS_COOKIE)
        reader = await self._reader(cookie)
        is_signed_in = reader is not None and reader is not OPEN_ACCESS
        own_url = base_url(request)
        # Not of the whole page, whose form token is another one each time.
        shown = f"{own_url}\n{cookie if is_signed_in else reader is None}\n{title}\n{content}"
        etag = hashlib.sha256(shown.encode(errors="replace")).hexdigest()[:20]
        headers = {"ETag": f'"{etag}"', "Cache-Control": "private, no-cache", "Vary": "Cookie"}
        if any(each.value == etag for each in request.if_none_match or ()):
            return web.Response(status=304, headers={**PAGE_HEADERS, **headers})
        html = self.pages.templates.get_template("documentation.html").render(
            title=title,
            content=Markup(content.replace(BASE_URL, escape(own_url))),
            principal=reader,
            places=[place for place in PLACES if reader is not None and reader.has_role(place.role)],
            path=request.path,
            form_token=await self._sign_ins.form_token(cookie) if is_signed_in else "",
            is_open=reader is OPEN_ACCESS,
            is_demo=False,
        )
        response = html_response(html)
        response.headers.update(headers)
        return response

    async def _reader(self, cookie: str | None) -> Principal | None:
        if self._sign_ins.keys.is_open:
            return OPEN_ACCESS
        try:
            return await self._sign_ins.find(cookie)
        except StoreUnavailable:
            return None
