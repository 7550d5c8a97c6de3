"""The processes of a chaos run: two servers and three workers, each started again whenever it is gone.

A process is started by its command line, as a user would. One that ends of its own accord is noted: nobody asked it to.
"""

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil

from tests.chaos.database import pid_of_holder
from tests.chaos.facts import FEW_QUEUE, METERED_QUEUE
from tests.chaos.links import Link
from tests.support.waiting import loop_sleep, wait_until

POLL_SECONDS = 0.05
READY_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 40.0
# The first worker claims as most do, from one queue; of those with limits two workers claim at the same time.
QUEUES = {
    "worker-1": (64, ("default",)),
    "worker-2": (64, ("default", FEW_QUEUE, METERED_QUEUE)),
    "worker-3": (16, (FEW_QUEUE, METERED_QUEUE)),
}
_READY = re.compile(rb'"url":"(http[^"]+)","event":"ready"')
REPOSITORY = Path(__file__).resolve().parents[2]


class Member:
    """One place in the fleet. `generation` counts the processes that had it; each has its name and its file."""

    def __init__(self, name: str, arguments: list[str], environment: dict[str, str], log_dir: Path) -> None:
        self.name = name
        self._arguments = arguments
        self.environment = environment
        self._log_dir = log_dir
        self._process: subprocess.Popen[bytes] | None = None
        self.generation = 0
        self.was_killed = False
        self.away_seconds = 0.0
        self.names: dict[int, str] = {}

    @property
    def process_name(self) -> str:
        return f"{self.name}.{self.generation}"

    @property
    def log(self) -> Path:
        return self._log_dir / f"{self.process_name}.log"

    @property
    def url(self) -> str | None:
        """Where a server answers, as it said itself; None until then."""
        found = _READY.search(self.log.read_bytes())
        return None if found is None else found[1].decode()

    @property
    def is_started(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        assert self._process is not None
        return self._process.poll()

    def start(self) -> None:
        self.generation += 1
        self.was_killed = False
        environment = {**os.environ, **self.environment, "CHAOS_WORKER": self.process_name}
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.member", *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=REPOSITORY,
                start_new_session=True,
            )
        self.names[self.pid] = self.process_name

    def kill(self, away_seconds: float) -> None:
        self.was_killed, self.away_seconds = True, away_seconds
        self.send(signal.SIGKILL)

    def send(self, number: signal.Signals) -> None:
        if self.exit_code is None:
            os.kill(self.pid, number)

    def executors(self) -> list[psutil.Process]:
        return [child for child in self.children() if "rota.worker.executor" in _words(child)]

    def children(self) -> list[psutil.Process]:
        """The worker's own processes: executors and the warden."""
        try:
            return psutil.Process(self.pid).children()
        except psutil.NoSuchProcess:
            return []


class Fleet:
    """All members, and the keeper that starts them again.

    `crashes` are ends that nobody asked for: a process waits for a database that is away. Each worker reaches its
    database through a link of its own.
    """

    def __init__(self, database_url: str, root: Path, sources: Path) -> None:
        self._log_dir, self.effects_dir = root / "logs", root / "effects"
        for directory in (self._log_dir, self.effects_dir):
            directory.mkdir()
        environment = {
            "ROTA_DATABASE_URL": database_url,
            "PYTHONPATH": os.pathsep.join([str(sources), str(REPOSITORY)]),
            "CHAOS_EFFECTS_DIR": str(self.effects_dir),
        }
        # Any free port, for each process anew: a number that was free a moment ago may be somebody else's now.
        self.servers = [
            Member(f"server-{place}", ["server", "--port", "0"], environment, self._log_dir) for place in (1, 2)
        ]
        self.links = {name: Link(database_url) for name in QUEUES}
        self.workers = [Member(name, _arguments(name), dict(environment), self._log_dir) for name in QUEUES]
        self.crashes: list[str] = []

    def name_of(self, holder: str) -> str:
        """Which process a lease's holder was."""
        pid = pid_of_holder(holder)
        return next((member.names[pid] for member in self.members if pid in member.names), holder)

    @property
    def by_slots(self) -> list[Member]:
        """The workers, those with many slots as often as they count for more."""
        least = min(slots for slots, _ in QUEUES.values())
        return [member for member in self.workers for _ in range(QUEUES[member.name][0] // least)]

    @property
    def members(self) -> list[Member]:
        return [*self.servers, *self.workers]

    async def start(self) -> None:
        """Both servers, which make the schema; then, when they are ready, the workers."""
        for member in self.servers:
            member.start()
        for member in self.servers:
            await wait_until(lambda member=member: _is_ready(member), READY_SECONDS_MAX, f"{member.name} is ready")
        for member in self.workers:
            link = self.links[member.name]
            await link.open()
            member.environment["ROTA_DATABASE_URL"] = link.url
            member.start()

    async def keep(self) -> None:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for member in self.members:
                group.create_task(self._keep(member))

    async def stop(self) -> list[str]:
        """Asks all to end, workers first; names those that had to be killed or ended badly."""
        for member in self.members:
            member.send(signal.SIGCONT)
        unruly: list[str] = []
        for members in (self.workers, self.servers):
            for member in members:
                member.send(signal.SIGTERM)
            unruly += [problem for member in members if (problem := await _ended(member))]
        return unruly

    async def close(self) -> None:
        """What is still there at once, and the links."""
        for member in self.members:
            if member.is_started:
                member.send(signal.SIGKILL)
        for link in self.links.values():
            await link.close()

    async def _keep(self, member: Member) -> None:
        while True:
            while member.exit_code is None:
                await loop_sleep(POLL_SECONDS)
            if not member.was_killed:
                self.crashes.append(f"{member.process_name} ended by itself, exit code {member.exit_code}")
                member.away_seconds = 1.0
            await loop_sleep(member.away_seconds)
            member.start()


def _arguments(worker: str) -> list[str]:
    slots, queues = QUEUES[worker]
    told = [word for queue in queues for word in ("--queue", queue)]
    return ["worker", "start", "--app", "tests.chaos.app:app", "--slots", str(slots), *told]


async def _ended(member: Member) -> str | None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + STOP_SECONDS_MAX
    while member.exit_code is None and loop.time() < deadline:
        await loop_sleep(POLL_SECONDS)
    if member.exit_code is None:
        member.send(signal.SIGKILL)
        return f"{member.process_name} did not end within {STOP_SECONDS_MAX:g} s of SIGTERM"
    return f"{member.process_name} answered SIGTERM with exit code {member.exit_code}" if member.exit_code else None


def _is_ready(member: Member) -> bool:
    assert member.exit_code is None, f"{member.process_name} ended: {member.log.read_text()}"
    url = member.url
    try:
        return url is not None and httpx.get(f"{url}/api/v1/health/ready", timeout=5).is_success
    except httpx.TransportError:
        return False


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
