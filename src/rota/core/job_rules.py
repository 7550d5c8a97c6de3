"""What is wrong with what a caller asks of a job, beside its documents."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from rota.core.field_rules import KEY_RULE, LABEL_KEY_RULE, NAME_RULE, QUEUE_RULE, TextRule, text_problems, under
from rota.core.target_validation import validate_target
from rota.domain.jobs import INPUT_BYTES_MAX, Webhook
from rota.domain.problems import FieldProblem
from rota.domain.targets import HttpTarget

METADATA_MAX = 64
METADATA_VALUE_MAX = 1_000
REFERENCE_RULE = TextRule(200, NAME_RULE.pattern, NAME_RULE.shape)


class JobRequest(Protocol):
    """The fields that every request for a job has."""

    @property
    def idempotency_key(self) -> str | None: ...
    @property
    def queue(self) -> str: ...
    @property
    def correlation_id(self) -> str | None: ...
    @property
    def metadata(self) -> Mapping[str, str]: ...
    @property
    def webhook(self) -> Webhook | None: ...


def request_problems(request: JobRequest) -> Iterator[FieldProblem]:
    yield from text_problems("queue", request.queue, QUEUE_RULE)
    if request.idempotency_key is not None:
        yield from text_problems("idempotency_key", request.idempotency_key, KEY_RULE)
    if request.correlation_id is not None:
        yield from text_problems("correlation_id", request.correlation_id, REFERENCE_RULE)
    yield from _metadata_problems(request.metadata)
    if request.webhook is not None:
        target = HttpTarget(request.webhook.url, signed_with=request.webhook.signed_with)
        yield from under("webhook", validate_target(target))


def size_problems(field: str, packed_bytes: int) -> Iterator[FieldProblem]:
    """Of all documents that a worker will be handed together."""
    if packed_bytes > INPUT_BYTES_MAX:
        problem = f"makes {packed_bytes} bytes of input, compressed"
        yield FieldProblem(field, problem, f"send less: at most {INPUT_BYTES_MAX} bytes, compressed")


def _metadata_problems(metadata: Mapping[str, str]) -> Iterator[FieldProblem]:
    if len(metadata) > METADATA_MAX:
        yield FieldProblem("metadata", f"has {len(metadata)} entries", f"send at most {METADATA_MAX}")
        return
    for key, value in metadata.items():
        yield from text_problems(f"metadata.{key[:64]}", key, LABEL_KEY_RULE)
        if len(value) > METADATA_VALUE_MAX:
            problem = f"has {len(value)} characters"
            yield FieldProblem(f"metadata.{key[:64]}", problem, f"use at most {METADATA_VALUE_MAX}")
