"""Who calls the API while all else happens: tells evidence, saves a schedule late, ticks where the leader does, too,
and asks for graphs of runs.

What it asks for is asked until it is answered: with a server that is gone, or a database that is away, that takes a
while. A refusal is a complaint.
"""

import asyncio
from collections import Counter
from typing import Any

import httpx

from rota.adapters.system_clock import SystemClock
from tests.chaos.fleet import Fleet
from tests.chaos.graphs import graph_body
from tests.chaos.plan import AGES_SECONDS, EVIDENCE, ChaosPlan, Subject, instant, milestone_body
from tests.support.waiting import loop_sleep

CALL_SECONDS_MAX = 10.0
PAUSE_SECONDS = 0.3
UNAVAILABLE = 503
TICK_WAIT_SECONDS = 3.0
# After the first: while the attempt is under way, and when a back-off ends.
TICKS_AGAIN_SECONDS = (0.6, 2.2)
SAVED_LATE_SHARE = 0.3

_clock = SystemClock()


class Callers:
    """`complaints` are answers that should not be; `answers` are for people."""

    def __init__(self, plan: ChaosPlan, fleet: Fleet, token: str) -> None:
        self._plan = plan
        self._fleet = fleet
        self._client = httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=CALL_SECONDS_MAX)
        self._calls = 0
        self.complaints: list[str] = []
        self.answers: Counter[str] = Counter()

    async def call_all(self) -> None:
        """Each at its time; returns when all evidence is recorded and all ticks are answered."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._save_late())
            group.create_task(self._enqueue_graphs())
            for subject in self._plan.subjects:
                group.create_task(self._tell(subject))
                for name in AGES_SECONDS:
                    due_us = subject.due_us(name)
                    for place in range(subject.ticks):
                        group.create_task(self._tick(subject, due_us + place * 5_000))
                    for seconds in TICKS_AGAIN_SECONDS if subject.ticks else ():
                        group.create_task(self._tick(subject, due_us + round(seconds * 1e6)))
        await self._client.aclose()

    async def _save_late(self) -> None:
        """The evidence of many subjects is there before the schedule that asks for it."""
        body, span_us = milestone_body("LATER"), self._plan.end_us - self._plan.start_us
        await _sleep_until(self._plan.start_us + round(SAVED_LATE_SHARE * span_us))
        await self._insist("POST", "/schedules", body)

    async def _enqueue_graphs(self) -> None:
        """One after another: each may wait for what the one before has."""
        for graph in self._plan.graphs:
            await _sleep_until(graph.at_us)
            await self._insist("POST", "/runs", graph_body(graph))

    async def _tell(self, subject: Subject) -> None:
        await _sleep_until(subject.told_us)
        body = {"occurred_at": instant(subject.occurred_us)}
        await self._insist("PUT", f"/evidence/{EVIDENCE}/{subject.name}", body)

    async def _tick(self, subject: Subject, at_us: int) -> None:
        """Once: whether it is answered or not, nothing may come of it twice."""
        await _sleep_until(at_us)
        body = {"tenant_id": "default", "subject": subject.name, "wait_seconds": TICK_WAIT_SECONDS}
        answer = await self._call("POST", "/milestones/evaluate", body)
        if answer is None or answer.status_code == UNAVAILABLE:
            self.answers["none" if answer is None else "unavailable"] += 1
        elif answer.is_success:
            self.answers[answer.json()["reason"]] += 1
        else:
            self.complaints.append(f"a tick of {subject.name} was answered {answer.status_code}: {answer.text}")

    async def _insist(self, method: str, path: str, body: Any) -> None:
        """What was done although its answer was lost says 200 the next time, or that there is one of that name."""
        asked = 0
        while True:
            answer = await self._call(method, path, body)
            asked += 1
            if answer is not None and (
                answer.is_success or (answer.status_code == 409 and method == "POST" and asked > 1)
            ):
                return
            if answer is not None and answer.status_code < 500:
                self.complaints.append(f"{method} {path} was answered {answer.status_code}: {answer.text}")
                return
            await loop_sleep(PAUSE_SECONDS)

    async def _call(self, method: str, path: str, body: Any) -> httpx.Response | None:
        """By the servers in turn, wherever they are by now; None where none answered."""
        self._calls += 1
        server = self._fleet.servers[self._calls % len(self._fleet.servers)]
        if (url := server.url) is None:
            return None
        try:
            return await self._client.request(method, f"{url}/api/v1{path}", json=body)
        except httpx.TransportError:
            return None


async def _sleep_until(at_us: int) -> None:
    await loop_sleep(max(0.0, at_us / 1e6 - _clock.wall_ns() / 1e9))
