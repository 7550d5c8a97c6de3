"""Policies as rows hold them. Services of a later version may have stored fields that this one does not know: it leaves
them out, and goes on with what it knows. What people write is decoded elsewhere, where such fields are refused.

Targets are not read so: a request or a call of which a part is left out would be another one.
"""

from typing import TypeVar

import msgspec

from rota.domain.policies import Policies, RunPolicy

Kind = TypeVar("Kind", bound=msgspec.Struct)

_RUN_POLICY: msgspec.json.Decoder[RunPolicy] = msgspec.json.Decoder(RunPolicy)
_POLICIES: msgspec.json.Decoder[Policies] = msgspec.json.Decoder(Policies)


def run_policy_of_text(text: str) -> RunPolicy:
    """Raises msgspec.DecodeError for what is wrong otherwise than by being unknown."""
    try:
        return _RUN_POLICY.decode(text)
    except msgspec.ValidationError:
        return _known(msgspec.json.decode(text), RunPolicy)


def run_policy_of_value(value: object) -> RunPolicy:
    """The same of JSON that is decoded already."""
    try:
        return msgspec.convert(value, RunPolicy)
    except msgspec.ValidationError:
        return _known(value, RunPolicy)


def policies_of_text(text: str) -> Policies:
    """A schedule's; see `run_policy_of_text`."""
    try:
        return _POLICIES.decode(text)
    except msgspec.ValidationError:
        return _known(msgspec.json.decode(text), Policies)


def _known(value: object, kind: type[Kind]) -> Kind:
    return msgspec.convert(_without_unknown(value, kind), kind)


def _without_unknown(value: object, kind: object) -> object:
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return value
    held = msgspec.convert(value, dict[str, object])
    fields = {each.encode_name: each.type for each in msgspec.structs.fields(kind)}
    return {name: _without_unknown(part, fields[name]) for name, part in held.items() if name in fields}
