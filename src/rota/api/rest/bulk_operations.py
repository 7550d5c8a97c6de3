"""Bulk operations on runs: a preview with its count, then the operation under that count, then its next batches."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from rota.api.authz import Access, require
from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, endpoint
from rota.domain.bulk import BulkFilter, BulkId, BulkOperation, BulkVerb
from rota.domain.errors import invalid_input
from rota.domain.problems import FieldProblem

ONE = "/runs/bulk/{bulk_id}"
BULK = Access("runs", "bulk")
DELETE = Access("runs", "delete")


class BulkRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Nothing is changed unless `dry_run` is false; then `expected_count` is the count of the preview."""

    verb: Literal["retry", "cancel"]
    filter: BulkFilter = field(default_factory=BulkFilter)
    dry_run: bool = True
    expected_count: Annotated[int, Meta(ge=0, le=2_000_000_000)] | None = None


class BulkDeletion(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The filter needs a condition. Nothing is deleted unless `dry_run` is false; then `expected_count` is the count of
    the preview.
    """

    filter: BulkFilter = field(default_factory=BulkFilter)
    dry_run: bool = True
    expected_count: Annotated[int, Meta(ge=0, le=2_000_000_000)] | None = None


class BulkAnswer(Struct, frozen=True):
    """`matched_count` runs match; `operation` is what was begun. It goes on by /continue until it is finished."""

    dry_run: bool
    matched_count: int
    operation: BulkOperation | None = None


@endpoint(
    "POST",
    "/runs/bulk",
    BULK,
    body=BulkRequest,
    answers=(BulkAnswer,),
    takes_key=True,
    errors=("IDEMPOTENCY_MISMATCH", "STATE_CONFLICT"),
    example={"verb": "retry", "filter": {"task": "reports.nightly", "dead_lettered": True}, "dry_run": True},
)
async def act_in_bulk(call: Call[BulkRequest, Nothing]) -> Answer:
    """Retry or cancel all runs that match a filter: first a preview, then with its count."""
    return await _previewed_or_begun(call, call.body.verb, call.body)


@endpoint(
    "POST",
    "/runs/bulk/delete",
    DELETE,
    body=BulkDeletion,
    answers=(BulkAnswer,),
    takes_key=True,
    errors=("IDEMPOTENCY_MISMATCH", "STATE_CONFLICT"),
    example={"filter": {"task": "reports.nightly", "created_before": "2026-01-01T00:00:00Z"}, "dry_run": True},
)
async def delete_in_bulk(call: Call[BulkDeletion, Nothing]) -> Answer:
    """Delete all ended runs that match a filter, for good: first a preview, then with its count."""
    return await _previewed_or_begun(call, "delete", call.body)


async def _previewed_or_begun(call: Call[Any, Nothing], verb: BulkVerb, asked: BulkRequest | BulkDeletion) -> Answer:
    if asked.dry_run:
        matched = await call.services.bulk.preview(call.actor, verb, asked.filter)
        return Answer(BulkAnswer(dry_run=True, matched_count=matched))
    if asked.expected_count is None:
        problem = "is missing, so nobody said how many runs this may touch"
        raise invalid_input([FieldProblem("expected_count", problem, "send the matched_count of a dry run")])
    begun = await call.services.bulk.begin(call.actor, verb, asked.filter, asked.expected_count, call.idempotency_key)
    return Answer(BulkAnswer(dry_run=False, matched_count=begun.expected_count, operation=begun))


@endpoint("GET", ONE, Access("runs", "read"), answers=(BulkOperation,))
async def get_bulk_operation(call: Call[Nothing, Nothing]) -> Answer:
    """Read how far a bulk operation has come."""
    store = call.services.ports.bulk_operations
    return Answer(await store.get(call.tenant_id, BulkId(call.path["bulk_id"])))


@endpoint("POST", f"{ONE}/continue", BULK, answers=(BulkOperation,))
async def continue_bulk_operation(call: Call[Nothing, Nothing]) -> Answer:
    """Go on with a bulk operation for some batches, whoever began it. A deletion needs an admin here, too."""
    bulk_id = BulkId(call.path["bulk_id"])
    operation = await call.services.ports.bulk_operations.get(call.tenant_id, bulk_id)
    if operation.verb == "delete":
        require(call.actor.role, DELETE)
    return Answer(await call.services.bulk.go_on(call.actor, bulk_id))


ENDPOINTS: tuple[Endpoint, ...] = (act_in_bulk, delete_in_bulk, get_bulk_operation, continue_bulk_operation)
