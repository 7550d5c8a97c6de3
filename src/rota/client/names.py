"""From a name or an id to the schedule that a person means."""

import re
from urllib.parse import quote

from rota.client.http import Answer, ApiClient, ApiError
from rota.domain.problems import FieldProblem

_ID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")


def schedule_by_name(client: ApiClient, name_or_id: str, *, deleted: bool = False) -> Answer:
    """The schedule with its ETag. An id is tried first where the text has the form of one. Raises NOT_FOUND."""
    if _ID.match(name_or_id):
        return client.call("GET", f"/schedules/{name_or_id}")
    found = client.get("/schedules", name=name_or_id, deleted=deleted or None, limit=1)["items"]
    if not found:
        state = "deleted schedule" if deleted else "schedule"
        problem = FieldProblem(name_or_id, f"is no {state} of this tenant", "`rota schedule list` shows what there is")
        raise ApiError(404, "NOT_FOUND", f"there is no {state} {name_or_id!r}", (problem,))
    return client.call("GET", f"/schedules/{quote(found[0]['id'])}")
