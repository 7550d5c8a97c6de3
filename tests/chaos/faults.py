"""Does to the fleet and the database what the plan says. What could not be done is not counted as a fault."""

import asyncio
import contextlib
import os
import signal

import psutil

from rota.adapters.system_clock import SystemClock
from tests.chaos.database import ChaosDatabase
from tests.chaos.facts import FrozenFact, OutageFact
from tests.chaos.fleet import Fleet, Member
from tests.chaos.plan import Fault
from tests.support.waiting import loop_sleep

_clock = SystemClock()


class FaultInjector:
    """`done`, `frozen` and `outages` are what the checker is told."""

    def __init__(self, fleet: Fleet, database: ChaosDatabase) -> None:
        self._fleet = fleet
        self._database = database
        self.done = 0
        self.frozen: list[FrozenFact] = []
        self.outages: list[OutageFact] = []

    async def inject_all(self, faults: tuple[Fault, ...]) -> None:
        """Each at its time from now on, also while earlier ones last; returns when the last is over."""
        began = _clock.monotonic_seconds()
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                await loop_sleep(max(0.0, began + fault.at_seconds - _clock.monotonic_seconds()))
                group.create_task(self._inject(fault))

    async def _inject(self, fault: Fault) -> None:
        verb, _, noun = fault.kind.partition(" ")
        told = f"  {fault.at_seconds:6.1f} s  #{fault.no:<3d}{fault.kind}"
        if noun == "sessions":
            count = await self._database.end_sessions(max(0.1, fault.share))
            self.done += count > 0
            print(f"{told}: {count} of them", flush=True)
        elif verb == "outage":
            print(f"{told} ({fault.seconds:g} s)", flush=True)
            self.outages.append(await self._database.go_away(fault.seconds, _now_us))
            self.done += 1
        elif noun == "database":
            print(told, flush=True)
            self.done += await self._database.crash(signal.SIGKILL if verb == "kill" else signal.SIGQUIT)
        elif noun == "workers":
            print(f"{told} ({fault.seconds} s)", flush=True)
            self.done += 1
            await asyncio.gather(*(link.deafen(fault.seconds) for link in self._fleet.links.values()))
        elif noun in {"leader", "server"}:
            victim = await self._server(fault, is_leader=noun == "leader")
            print(f"{told}: {victim.process_name} ({fault.seconds} s)", flush=True)
            await self._hit(verb, victim, [victim.pid], fault)
        else:
            victim = _pick(self._fleet.by_slots, fault.share)
            print(f"{told}: {victim.process_name} ({fault.seconds} s)", flush=True)
            await self._hit_worker(verb, noun, victim, fault)

    async def _server(self, fault: Fault, *, is_leader: bool) -> Member:
        """The leader, where there is one to be found; else any."""
        leader_pid = await self._database.leader_pid() if is_leader else None
        for member in self._fleet.servers:
            if member.pid == leader_pid:
                return member
        return _pick(self._fleet.servers, fault.share)

    async def _hit_worker(self, verb: str, noun: str, victim: Member, fault: Fault) -> None:
        if verb == "cut":
            self.done += 1
            await self._fleet.links[victim.name].cut(fault.seconds)
            return
        executors = victim.executors()
        if noun == "executor" and not executors:
            return
        if noun == "executor":
            pid = executors[int(fault.share * 1000) % len(executors)].pid
            if verb == "kill":
                self.done += _send(pid, signal.SIGKILL)
            else:
                await self._freeze([pid], fault)
        elif noun == "worker" and verb == "freeze":
            began_us, name = _now_us(), victim.process_name
            # The supervisor stands still first: it must not see its processes stop one by one.
            await self._freeze([victim.pid, *(child.pid for child in victim.children())], fault)
            self.frozen.append(FrozenFact(name, began_us, _now_us()))
        else:
            await self._hit(verb, victim, [victim.pid], fault)

    async def _hit(self, verb: str, victim: Member, pids: list[int], fault: Fault) -> None:
        if victim.exit_code is not None:
            return
        if verb == "kill":
            victim.kill(fault.seconds)
            self.done += 1
        else:
            await self._freeze(pids, fault)

    async def _freeze(self, pids: list[int], fault: Fault) -> None:
        processes = [process for pid in pids if (process := _process(pid)) is not None]
        stopped = [process for process in processes if _send(process.pid, signal.SIGSTOP)]
        self.done += bool(stopped)
        try:
            await loop_sleep(fault.seconds)
        finally:
            for process in stopped:
                # psutil compares the start time: a number that went to another process is left alone.
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGCONT)


def _pick(members: list[Member], share: float) -> Member:
    return members[int(share * len(members))]


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def _send(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _now_us() -> int:
    return _clock.wall_ns() // 1000
