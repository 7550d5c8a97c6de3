"""The verbs on signing secrets. A secret is made here, returned once, and readable by workers alone from then on."""

import hashlib
from datetime import datetime

from msgspec import Struct

from rota.core.field_rules import SECRET_NAME_RULE, text_problems
from rota.core.webhook_signature import shown_secret
from rota.domain.errors import invalid_input
from rota.domain.ids import SigningSecretId
from rota.domain.signing import SigningSecret
from rota.ports.ids import Ids
from rota.ports.schedule_store import ScheduleStore
from rota.ports.signing_store import SigningSecretStore
from rota.services.acting import Actor


class SigningSecretRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A secret to be made, as the first or the second live one of its name."""

    name: str


class IssuedSigningSecret(Struct, frozen=True):
    """The only time that the secret is seen."""

    record: SigningSecret
    secret: str


class SigningVerbs:
    """Stateless."""

    def __init__(self, secrets: SigningSecretStore, schedules: ScheduleStore, ids: Ids) -> None:
        self._secrets = secrets
        self._schedules = schedules
        self._ids = ids

    async def create(self, actor: Actor, request: SigningSecretRequest) -> IssuedSigningSecret:
        """Raises INVALID_INPUT, STATE_CONFLICT, QUOTA_EXCEEDED."""
        problems = list(text_problems("name", request.name, SECRET_NAME_RULE))
        if problems:
            raise invalid_input(problems)
        # 32 bytes of the secret's own entropy, as the specification asks for (24 to 64).
        key = hashlib.sha256(self._ids.new_secret().encode()).digest()
        now = datetime.fromisoformat(await self._schedules.clock())
        made = SigningSecret(SigningSecretId(self._ids.new_id()), actor.tenant_id, request.name, now, actor.label)
        stored = await self._secrets.create(made, key, actor.audit("create", "signing_secret", made.id))
        return IssuedSigningSecret(stored, shown_secret(key))

    async def retire(self, actor: Actor, secret_id: SigningSecretId) -> SigningSecret:
        """Raises NOT_FOUND."""
        return await self._secrets.retire(
            actor.tenant_id, secret_id, actor.audit("retire", "signing_secret", secret_id)
        )
