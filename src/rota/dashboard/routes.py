"""The pages' addresses. Reading only; signing in and out are the two posts.

Every answer carries a strict content security policy: nothing from elsewhere, no inline script or style.
`?fragment=true` gives the part of a page that changes, for the script that keeps it current. What goes wrong outside
/api is told by a page.
"""

from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from typing import Annotated, Any, TypeAlias

from litestar import Controller, HttpMethod, MediaType, Request, Response, Router, get, post, route
from litestar.datastructures import Cookie
from litestar.enums import RequestEncodingType
from litestar.exceptions import HTTPException, NotFoundException
from litestar.params import Body
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler
from msgspec import Struct

from rota.dashboard.pages import Pages
from rota.dashboard.sign_in import COOKIE_SECONDS_MAX, SignInCodes, cookie_name, is_from_own_pages, is_secure_origin
from rota.domain.errors import DomainError, Unavailable
from rota.domain.ids import RunId, ScheduleId
from rota.domain.tenancy import Principal

Authenticate: TypeAlias = Callable[[str], Awaitable[Principal | None]]
Render: TypeAlias = Callable[[Principal, str], Awaitable[str]]
AnyRequest: TypeAlias = Request[Any, Any, Any]
Answer: TypeAlias = Response[Any]

FORM_BYTES_MAX = 4_096
READING = (HttpMethod.GET, HttpMethod.HEAD)
# `same-origin`, not `no-referrer`: with the latter a browser hides the origin of our own form.
SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_STATIC_TYPES = {
    "app.css": "text/css; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "mark.svg": "image/svg+xml",
}
_NOT_A_PAGE = "There is no page at this address."
_NO_DATABASE = "The database cannot be reached at the moment. Nothing is lost; reload the page in a little while."


class SignInForm(Struct, frozen=True):
    """The form of the sign-in page."""

    token: str = ""


FormBody: TypeAlias = Annotated[SignInForm, Body(media_type=RequestEncodingType.URL_ENCODED)]


class Door(Struct, frozen=True):
    """Who may come in, and how: what the handlers share."""

    pages: Pages
    authenticate: Authenticate
    codes: SignInCodes

    async def show(self, request: AnyRequest, name: str, render: Render) -> Answer:
        """The page for whom the cookie names; the way to the sign-in for anybody else."""
        token = request.cookies.get(cookie_name(request.headers), "")
        who = await self.authenticate(token) if token else None
        if who is None:
            return Redirect("/login", headers=dict(SECURITY_HEADERS))
        is_fragment = request.query_params.get("fragment") == "true"
        try:
            return _html(await render(who, f"{name}_body.html" if is_fragment else f"{name}.html"))
        except DomainError as refused:
            return self.refusal(404, "Not found", refused.detail, who)

    def sign_in_page(self, problem: str = "", status_code: int = 200) -> Answer:
        return _html(self.pages.render("login.html", problem=problem), status_code)

    def refusal(self, status_code: int, title: str, detail: str, who: Principal | None = None) -> Answer:
        content = self.pages.render("refused.html", who=who, title=title, detail=detail)
        return _html(content, status_code)


def create_dashboard(
    pages: Pages, authenticate: Authenticate, codes: SignInCodes
) -> tuple[ControllerRouterHandler, ...]:
    """The handlers of all pages, to be mounted beside the API."""
    door = Door(pages, authenticate, codes)
    return (_told_by_pages(door, _reading(door), _listing(door), _signing(door)), _static(), _elsewhere(door))


def _told_by_pages(door: Door, *controllers: type[Controller]) -> Router:
    """A router is copied deeply when it is mounted: functions, unlike the door's methods, are left as they are."""

    def answer_unavailable(_: AnyRequest, __: Exception) -> Answer:
        return door.refusal(503, "Not available", _NO_DATABASE)

    def answer_http_error(_: AnyRequest, error: HTTPException) -> Answer:
        return door.refusal(error.status_code, "Not understood", error.detail)

    return Router(
        path="/",
        route_handlers=controllers,
        exception_handlers={Unavailable: answer_unavailable, HTTPException: answer_http_error},
    )


def _reading(door: Door) -> type[Controller]:
    class ReadingPages(Controller):
        """Overview, one schedule, one run."""

        path = "/"
        include_in_schema = False

        @route("/", http_method=READING)
        async def overview(self, request: AnyRequest) -> Answer:
            return await door.show(request, "overview", door.pages.overview)

        @route("/schedules/{schedule_id:str}", http_method=READING)
        async def schedule(self, request: AnyRequest, schedule_id: str) -> Answer:
            async def render(who: Principal, template: str) -> str:
                return await door.pages.schedule(who, ScheduleId(schedule_id), template)

            return await door.show(request, "schedule", render)

        @route("/runs/{run_id:str}", http_method=READING)
        async def run(self, request: AnyRequest, run_id: str) -> Answer:
            async def render(who: Principal, template: str) -> str:
                return await door.pages.run(who, RunId(run_id), template)

            return await door.show(request, "run", render)

    return ReadingPages


def _listing(door: Door) -> type[Controller]:
    class ListingPages(Controller):
        """Bindings, check-ins, milestones, limits, jobs."""

        path = "/"
        include_in_schema = False

        @route("/bindings", http_method=READING)
        async def bindings(self, request: AnyRequest) -> Answer:
            return await door.show(request, "bindings", door.pages.bindings)

        @route("/check-ins", http_method=READING)
        async def check_ins(self, request: AnyRequest) -> Answer:
            return await door.show(request, "check_ins", door.pages.check_ins)

        @route("/milestones", http_method=READING)
        async def milestones(self, request: AnyRequest) -> Answer:
            async def render(who: Principal, template: str) -> str:
                return await door.pages.milestones(who, template, request.query_params.get("state"))

            return await door.show(request, "milestones", render)

        @route("/limits", http_method=READING)
        async def limits(self, request: AnyRequest) -> Answer:
            return await door.show(request, "limits", door.pages.limits)

        @route("/jobs", http_method=READING)
        async def jobs(self, request: AnyRequest) -> Answer:
            return await door.show(request, "jobs", door.pages.jobs)

    return ListingPages


def _signing(door: Door) -> type[Controller]:
    class SigningPages(Controller):
        """In and out."""

        path = "/"
        include_in_schema = False

        @route("/login", http_method=READING)
        async def sign_in_page(self, request: AnyRequest) -> Answer:
            code = request.query_params.get("code", "")
            # A HEAD, as link previews send it, does not use the code up.
            token = door.codes.redeem(code) if code and request.method == HttpMethod.GET else None
            if token is not None:
                return _signed_in(request, token)
            return door.sign_in_page("This link was used already or is too old." if code else "")

        @post("/login", status_code=303, request_max_body_size=FORM_BYTES_MAX)
        async def sign_in(self, request: AnyRequest, data: FormBody) -> Answer:
            if not is_from_own_pages(request.headers):
                return door.sign_in_page("The form was sent from another site.", status_code=403)
            token = data.token.strip()
            if await door.authenticate(token) is None:
                return door.sign_in_page("This token is not valid.", status_code=401)
            return _signed_in(request, token)

        @post("/logout", status_code=303)
        async def sign_out(self, request: AnyRequest) -> Answer:
            if not is_from_own_pages(request.headers):
                return door.refusal(403, "Not signed out", "The request was sent from another site.")
            return _redirect("/login", _cookie(request, "", 0))

    return SigningPages


def _static() -> type[Controller]:
    directory = files("rota.dashboard") / "static"
    contents = {name: (directory / name).read_bytes() for name in _STATIC_TYPES}

    class StaticFiles(Controller):
        """The style, the script and the mark: package data, named one by one, read once."""

        path = "/static"
        include_in_schema = False

        @route("/{name:str}", http_method=READING)
        async def static(self, name: str) -> Answer:
            if name not in contents:
                return Response(b"", status_code=404, media_type=MediaType.TEXT, headers=dict(SECURITY_HEADERS))
            headers = {**SECURITY_HEADERS, "Cache-Control": "no-cache"}
            return Response(contents[name], media_type=_STATIC_TYPES[name], headers=headers)

    return StaticFiles


def _elsewhere(door: Door) -> type[Controller]:
    class Elsewhere(Controller):
        """Every address that is nobody's, outside the API's."""

        path = "/"
        include_in_schema = False

        @get(["/{address:path}", "/runs", "/schedules"])
        async def elsewhere(self, address: str = "") -> Answer:
            if address.startswith("/api/"):
                raise NotFoundException
            return door.refusal(404, "Not found", _NOT_A_PAGE)

    return Elsewhere


def _html(content: str, status_code: int = 200) -> Answer:
    return Response(content, media_type=MediaType.HTML, status_code=status_code, headers=dict(SECURITY_HEADERS))


def _signed_in(request: AnyRequest, token: str) -> Answer:
    return _redirect("/", _cookie(request, token, COOKIE_SECONDS_MAX))


def _redirect(address: str, cookie: Cookie) -> Answer:
    return Redirect(address, status_code=303, cookies=[cookie], headers=dict(SECURITY_HEADERS))


def _cookie(request: AnyRequest, value: str, max_age: int) -> Cookie:
    return Cookie(
        key=cookie_name(request.headers),
        value=value,
        max_age=max_age,
        path="/",
        httponly=True,
        samesite="lax",
        secure=is_secure_origin(request.headers),
    )
