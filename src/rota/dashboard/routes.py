"""The pages' addresses. Reading only; signing in and out are the two posts.

Every answer carries a strict content security policy: nothing from elsewhere, no inline script or style.
`?fragment=true` gives the part of a page that changes, for the script that keeps it current.
"""

from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from typing import Annotated, Any, TypeAlias
from urllib.parse import urlsplit

from litestar import Controller, MediaType, Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.enums import RequestEncodingType
from litestar.params import Body, Parameter
from litestar.response import Redirect
from msgspec import Struct

from rota.dashboard.pages import Pages
from rota.dashboard.sign_in import COOKIE_NAME, COOKIE_SECONDS_MAX, SignInCodes
from rota.domain.errors import DomainError
from rota.domain.ids import RunId, ScheduleId
from rota.domain.tenancy import Principal

Authenticate: TypeAlias = Callable[[str], Awaitable[Principal | None]]
Render: TypeAlias = Callable[[Principal, str], Awaitable[str]]
AnyRequest: TypeAlias = Request[Any, Any, Any]

SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_STATIC_TYPES = {
    "app.css": "text/css; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "mark.svg": "image/svg+xml",
}


class SignInForm(Struct, frozen=True):
    """The form of the sign-in page."""

    token: str = ""


FormBody: TypeAlias = Annotated[SignInForm, Body(media_type=RequestEncodingType.URL_ENCODED)]
Fragment: TypeAlias = Annotated[bool, Parameter(query="fragment")]


class Door(Struct, frozen=True):
    """Who may come in, and how: what the handlers share."""

    pages: Pages
    authenticate: Authenticate
    codes: SignInCodes

    async def show(self, request: AnyRequest, name: str, render: Render, *, fragment: bool) -> Response[Any]:
        """The page for whom the cookie names; the way to the sign-in for anybody else."""
        token = request.cookies.get(COOKIE_NAME, "")
        who = await self.authenticate(token) if token else None
        if who is None:
            return Redirect("/login", headers=dict(SECURITY_HEADERS))
        try:
            return _html(await render(who, f"{name}_body.html" if fragment else f"{name}.html"))
        except DomainError as refused:
            return _html(self.pages.render("refused.html", who=who, detail=refused.detail), status_code=404)

    async def sign_in(self, token: str) -> Response[Any]:
        if await self.authenticate(token) is None:
            return self.sign_in_page("This token is not valid.", status_code=401)
        return _signed_in(token)

    def sign_in_page(self, problem: str = "", status_code: int = 200) -> Response[Any]:
        return _html(self.pages.render("login.html", problem=problem), status_code=status_code)


def create_dashboard(pages: Pages, authenticate: Authenticate, codes: SignInCodes) -> tuple[type[Controller], ...]:
    """The handlers of all pages, to be mounted beside the API."""
    door = Door(pages, authenticate, codes)
    return (_reading(door), _signing(door), _Static)


def _reading(door: Door) -> type[Controller]:
    class ReadingPages(Controller):
        """Overview, one schedule, one run."""

        path = "/"
        include_in_schema = False

        @get("/")
        async def overview(self, request: AnyRequest, *, fragment: Fragment = False) -> Response[Any]:
            return await door.show(request, "overview", door.pages.overview, fragment=fragment)

        @get("/schedules/{schedule_id:str}")
        async def schedule(self, request: AnyRequest, schedule_id: str, *, fragment: Fragment = False) -> Response[Any]:
            async def render(who: Principal, template: str) -> str:
                return await door.pages.schedule(who, ScheduleId(schedule_id), template)

            return await door.show(request, "schedule", render, fragment=fragment)

        @get("/runs/{run_id:str}")
        async def run(self, request: AnyRequest, run_id: str, *, fragment: Fragment = False) -> Response[Any]:
            async def render(who: Principal, template: str) -> str:
                return await door.pages.run(who, RunId(run_id), template)

            return await door.show(request, "run", render, fragment=fragment)

    return ReadingPages


def _signing(door: Door) -> type[Controller]:
    class SigningPages(Controller):
        """In and out."""

        path = "/"
        include_in_schema = False

        @get("/login")
        async def sign_in_page(self, code: str = "") -> Response[Any]:
            token = door.codes.redeem(code) if code else None
            if token is not None:
                return _signed_in(token)
            return door.sign_in_page("This link was used already or is too old." if code else "")

        @post("/login", status_code=303)
        async def sign_in(self, request: AnyRequest, data: FormBody) -> Response[Any]:
            if not _same_origin(request.headers.get("origin"), request.headers.get("host")):
                return door.sign_in_page("The form was sent from another site.", status_code=403)
            return await door.sign_in(data.token.strip())

        @post("/logout", status_code=303)
        async def sign_out(self) -> Response[Any]:
            gone = Cookie(key=COOKIE_NAME, value="", max_age=0, path="/", httponly=True, samesite="strict")
            return Redirect("/login", status_code=303, cookies=[gone], headers=dict(SECURITY_HEADERS))

    return SigningPages


class _Static(Controller):
    """The style, the script and the mark: package data, named one by one."""

    path = "/static"
    include_in_schema = False

    @get("/{name:str}")
    async def static(self, name: str) -> Response[bytes]:
        media_type = _STATIC_TYPES.get(name)
        if media_type is None:
            return Response(b"", status_code=404, headers=dict(SECURITY_HEADERS))
        content = (files("rota.dashboard") / "static" / name).read_bytes()
        headers = {**SECURITY_HEADERS, "Cache-Control": "no-cache"}
        return Response(content, media_type=media_type, headers=headers)


def _html(content: str, status_code: int = 200) -> Response[Any]:
    return Response(content, media_type=MediaType.HTML, status_code=status_code, headers=dict(SECURITY_HEADERS))


def _signed_in(token: str) -> Response[Any]:
    cookie = Cookie(
        key=COOKIE_NAME, value=token, max_age=COOKIE_SECONDS_MAX, path="/", httponly=True, samesite="strict"
    )
    return Redirect("/", status_code=303, cookies=[cookie], headers=dict(SECURITY_HEADERS))


def _same_origin(origin: str | None, host: str | None) -> bool:
    """A browser names the origin of a post; one without it (curl) carries no cookie that could be abused."""
    return origin is None or urlsplit(origin).netloc == host
