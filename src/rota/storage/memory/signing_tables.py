"""The table of the memory store of signing secrets."""

from dataclasses import dataclass, field

from rota.domain.ids import SigningSecretId
from rota.domain.signing import SigningSecret


@dataclass
class SigningTables:
    """`keys` has those of live secrets only."""

    secrets: dict[SigningSecretId, SigningSecret] = field(default_factory=dict[SigningSecretId, SigningSecret])
    keys: dict[SigningSecretId, bytes] = field(default_factory=dict[SigningSecretId, bytes])
