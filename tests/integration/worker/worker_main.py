"""A worker as a process of its own: `python -m tests.integration.worker.worker_main OPTIONS_JSON SERVICE_URL`."""

import sys

import msgspec
import uvloop

from rota.adapters.system_clock import SystemClock
from rota.adapters.system_ids import SystemIds
from rota.adapters.system_rng import SystemRng
from rota.storage.memory.wakeups import MemoryWakeups
from rota.storage.postgres.callbacks import PostgresCallbackWaits
from rota.storage.postgres.connections import PoolOptions, open_pool
from rota.storage.postgres.fan_outs import PostgresFanOutPlans
from rota.storage.postgres.job_work import PostgresJobWork
from rota.storage.postgres.logins import Login
from rota.storage.postgres.run_claims import PostgresRunClaims
from rota.storage.postgres.workers import PostgresWorkerStore
from rota.worker.callback_claims import CallbackClaims
from rota.worker.fan_out_claims import FanOutClaims
from rota.worker.job_claims import JobClaims
from rota.worker.options import WorkerOptions
from rota.worker.process import run_worker
from rota.worker.worker_ports import WorkerPorts


async def main(options: WorkerOptions, url: str) -> None:
    clock = SystemClock()
    pool_options = PoolOptions(connections_max=4)
    pool = await open_pool(url, Login.SERVICE, application_name="test worker", sleep=clock.sleep, options=pool_options)
    plans = PostgresFanOutPlans(pool)
    called_back = CallbackClaims(
        FanOutClaims(PostgresRunClaims(pool), plans), PostgresCallbackWaits(pool), SystemIds(), options.public_url
    )
    claims = JobClaims(called_back, PostgresJobWork(pool))
    ports = WorkerPorts(claims, PostgresWorkerStore(pool), MemoryWakeups(), clock, SystemRng(), SystemIds(), plans)
    try:
        await run_worker(options, ports)
    finally:
        await pool.close()


if __name__ == "__main__":
    uvloop.run(main(msgspec.json.decode(sys.argv[1], type=WorkerOptions), sys.argv[2]))
