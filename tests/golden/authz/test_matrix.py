"""Who may do what, as the API answers it.

`BLESS=1 pytest tests/golden/authz` writes it; commit only what you understand.

A route that is missing from the file, or is in it and gone, fails.
"""

import os
from pathlib import Path

from rota.api.rest.endpoint import NAMED_BY_TENANT
from rota.domain.tenancy import ROLES, Role
from tests.integration.api.raw_asgi import answered
from tests.integration.api.world import UNKNOWN_ID, World, guarded_endpoints, path_of

MATRIX = Path(__file__).with_name("matrix.txt")
NAMES = (
    "schedule_id",
    "run_id",
    "worker_id",
    "token_id",
    "secret_id",
    "check_in_id",
    "backfill_id",
    "graph_job_id",
    "policy_job_id",
    "bulk_id",
)
IDS = dict.fromkeys((*NAMES, *NAMED_BY_TENANT), UNKNOWN_ID) | {"tenant_id": "acme"}


async def verdict(world: World, role: Role, method: str, path: str) -> str:
    """`yes` where the role gets past the table: what the request then lacks is another matter."""
    answer = await answered(world.app, method, path, world.auth(role))
    assert answer.status < 500, (method, path, answer.body)
    refused = answer.status == 403 and answer.json()["code"] == "ROLE_FORBIDDEN"
    return "-" if refused else "yes"


async def test_the_matrix_of_roles_and_routes_is_as_written_down(empty_world: World) -> None:
    lines = [f"{'':58}" + "".join(f"{role:16}" for role in ROLES).rstrip()]
    for one in sorted(guarded_endpoints(), key=lambda one: (one.full_path, one.method)):
        verdicts = [await verdict(empty_world, role, one.method, path_of(one, IDS)) for role in ROLES]
        lines.append(f"{one.method + ' ' + one.full_path:58}" + "".join(f"{word:16}" for word in verdicts).rstrip())
    printed = "\n".join(lines) + "\n"
    if os.environ.get("BLESS"):
        MATRIX.write_text(printed, encoding="utf-8")

    assert printed == MATRIX.read_text(encoding="utf-8")
