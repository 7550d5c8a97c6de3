"""The pages' addresses. Reading only; signing in and out are the two posts.

Every answer carries a strict content security policy: nothing from elsewhere, no inline script or style.
"""

from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from typing import Annotated
from urllib.parse import urlsplit

from litestar import MediaType, Request, Response, Router, get, post
from litestar.datastructures import Cookie
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect
from msgspec import Struct

from rota.dashboard.pages import Pages
from rota.dashboard.sign_in import COOKIE_NAME, COOKIE_SECONDS_MAX, SignInCodes
from rota.domain.errors import DomainError
from rota.domain.ids import RunId, ScheduleId
from rota.domain.tenancy import Principal

Authenticate = Callable[[str], Awaitable[Principal | None]]

SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_STATIC_TYPES = {"app.css": "text/css; charset=utf-8", "app.js": "text/javascript; charset=utf-8", "mark.svg": "image/svg+xml"}


class SignInForm(Struct, frozen=True):
    """The form of the sign-in page."""

    token: str = ""


def create_dashboard(pages: Pages, authenticate: Authenticate, codes: SignInCodes) -> Router:
    """The router of all pages, to be mounted beside the API."""

    async def visitor(request: Request) -> Principal | None:  # type: ignore[type-arg]
        token = request.cookies.get(COOKIE_NAME, "")
        return await authenticate(token) if token else None

    async def shown(request: Request, render: Callable[[Principal], Awaitable[str]]) -> Response[str]:  # type: ignore[type-arg]
        who = await visitor(request)
        if who is None:
            return Redirect("/login", headers=dict(SECURITY_HEADERS))  # pyright: ignore[reportReturnType]
        try:
            return _html(await render(who))
        except DomainError as refused:
            return _html(pages.render("refused.html", who=who, detail=refused.detail), status_code=404)

    @get("/", include_in_schema=False)
    async def overview(request: Request, fragment: bool = False) -> Response[str]:  # type: ignore[type-arg]
        template = "overview_body.html" if fragment else "overview.html"
        return await shown(request, lambda who: pages.overview(who, template))

    @get("/schedules/{schedule_id:str}", include_in_schema=False)
    async def schedule(request: Request, schedule_id: str, fragment: bool = False) -> Response[str]:  # type: ignore[type-arg]
        template = "schedule_body.html" if fragment else "schedule.html"
        return await shown(request, lambda who: pages.schedule(who, ScheduleId(schedule_id), template))

    @get("/runs/{run_id:str}", include_in_schema=False)
    async def run(request: Request, run_id: str, fragment: bool = False) -> Response[str]:  # type: ignore[type-arg]
        template = "run_body.html" if fragment else "run.html"
        return await shown(request, lambda who: pages.run(who, RunId(run_id), template))

    @get("/login", include_in_schema=False)
    async def sign_in_page(code: str = "") -> Response[str]:
        token = codes.redeem(code) if code else None
        if token is not None:
            return _signed_in(token)
        problem = "This link was used already or is too old." if code else ""
        return _html(pages.render("login.html", problem=problem))

    @post("/login", include_in_schema=False, status_code=303)
    async def sign_in(
        request: Request,  # type: ignore[type-arg]
        data: Annotated[SignInForm, Body(media_type=RequestEncodingType.URL_ENCODED)],
    ) -> Response[str]:
        if not _same_origin(request.headers.get("origin"), request.headers.get("host")):
            return _html(pages.render("login.html", problem="The form was sent from another site."), status_code=403)
        if await authenticate(data.token.strip()) is None:
            return _html(pages.render("login.html", problem="This token is not valid."), status_code=401)
        return _signed_in(data.token.strip())

    @post("/logout", include_in_schema=False, status_code=303)
    async def sign_out() -> Response[str]:
        gone = Cookie(key=COOKIE_NAME, value="", max_age=0, path="/", httponly=True, samesite="strict")
        return Redirect("/login", status_code=303, cookies=[gone], headers=dict(SECURITY_HEADERS))  # pyright: ignore[reportReturnType]

    @get("/static/{name:str}", include_in_schema=False)
    async def static(name: str) -> Response[bytes]:
        media_type = _STATIC_TYPES.get(name)
        if media_type is None:
            return Response(b"", status_code=404, headers=dict(SECURITY_HEADERS))
        content = (files("rota.dashboard") / "static" / name).read_bytes()
        headers = {**SECURITY_HEADERS, "Cache-Control": "no-cache"}
        return Response(content, media_type=media_type, headers=headers)

    return Router(
        path="/", route_handlers=[overview, schedule, run, sign_in_page, sign_in, sign_out, static], include_in_schema=False
    )


def _html(content: str, status_code: int = 200) -> Response[str]:
    return Response(content, media_type=MediaType.HTML, status_code=status_code, headers=dict(SECURITY_HEADERS))


def _signed_in(token: str) -> Response[str]:
    cookie = Cookie(
        key=COOKIE_NAME, value=token, max_age=COOKIE_SECONDS_MAX, path="/", httponly=True, samesite="strict"
    )
    return Redirect("/", status_code=303, cookies=[cookie], headers=dict(SECURITY_HEADERS))  # pyright: ignore[reportReturnType]


def _same_origin(origin: str | None, host: str | None) -> bool:
    """A browser names the origin of a post; one without it (curl) carries no cookie that could be abused."""
    return origin is None or urlsplit(origin).netloc == host
