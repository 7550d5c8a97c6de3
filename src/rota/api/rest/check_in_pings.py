"""The addresses that jobs elsewhere ping. They need no token, as the address is the secret, and stand beside the API.

GET changes a row here, and only here: `curl URL` at the end of a crontab's line is what the address is for. The answer
is the same for an address that does not exist. The body, if there is one, is not read.
"""

from typing import Any, cast

from litestar import Request, Response, route
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler

from rota.api.rest.gate import SECRET_PREFIX, STATE_ROUTE
from rota.api.rest.wiring import Services
from rota.domain.check_in import PingSignal
from rota.domain.errors import not_found

SIGNALS: dict[str, PingSignal] = {"start": "start", "success": "success", "fail": "fail"}


def ping_path(secret: str) -> str:
    return f"{SECRET_PREFIX}{secret}"


def ping_routes(services: Services) -> HTTPRouteHandler:
    """`/ping/{token}` tells a success, `/ping/{token}/{start|success|fail}` what it says."""

    async def handle(request: Request[Any, Any, State]) -> Response[bytes]:
        request.scope["state"][STATE_ROUTE] = f"{SECRET_PREFIX}{{token}}"
        path = cast("dict[str, str]", dict(request.path_params))
        signal = SIGNALS.get(path.get("signal", "success"))
        if signal is None:
            raise not_found("signal", path["signal"])
        await services.check_ins.ping(path["token"], signal)
        return Response(b"OK\n", status_code=200, media_type="text/plain")

    paths = [f"{SECRET_PREFIX}{{token:str}}", f"{SECRET_PREFIX}{{token:str}}/{{signal:str}}"]
    return route(paths, http_method=["GET", "HEAD", "POST"], status_code=200)(handle)
