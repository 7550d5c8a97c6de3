"""The HTTP server around the application: opens the port, serves until told to stop, then lets requests finish."""

import asyncio
import errno
import socket
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn
from litestar import Litestar

from rota.api.rest.app import STATE_STREAMS
from rota.domain.errors import invalid_input
from rota.domain.problems import FieldProblem

SHUTDOWN_SECONDS_MAX = 5
BACKLOG_MAX = 2_048


class _Server(uvicorn.Server):
    """Uvicorn without its own signal handling: the process decides when it stops."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class HttpServer:
    """Bound at construction, so that a port in use is told before anything else starts."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = _bind(host, port)
        name = self._socket.getsockname()
        self.port: int = name[1]
        self.url = f"http://{_display_host(host)}:{self.port}"
        self._server: _Server | None = None

    async def serve(self, app: Litestar) -> None:
        """Until `stop`; returns once the last request has been answered or the bound has passed."""
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="on",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS_MAX,
            backlog=BACKLOG_MAX,
        )
        self._server = _Server(config)
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            app.state[STATE_STREAMS].close()

    async def wait_started(self) -> None:
        """Returns when requests are answered."""
        while self._server is None or not self._server.started:  # noqa: ASYNC110 - a flag is all that uvicorn gives
            await asyncio.sleep(0.01)  # noqa: TID251 - as above

    def stop(self, app: Litestar) -> None:
        """Ask for the end: open streams are closed first, so that they do not hold it up."""
        app.state[STATE_STREAMS].close()
        if self._server is not None:
            self._server.should_exit = True


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as refused:
        listening.close()
        raise invalid_input([_bind_problem(host, port, refused)]) from refused
    listening.set_inheritable(False)
    return listening


def _bind_problem(host: str, port: int, refused: OSError) -> FieldProblem:
    if isinstance(refused, socket.gaierror) or refused.errno == errno.EADDRNOTAVAIL:
        remedy = "name an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them"
        return FieldProblem("--host", f"{host} cannot be listened on: {refused.strerror}", remedy)
    remedy = "name another port, or 0 for a free one"
    return FieldProblem("--port", f"{host}:{port} cannot be used: {refused.strerror}", remedy)


def _display_host(host: str) -> str:
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - shown, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
