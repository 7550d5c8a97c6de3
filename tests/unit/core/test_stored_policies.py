"""A server of the previous version reads what this one stores: a field it does not know is there only if it is used."""

import msgspec

from rota.domain.policies import Policies, RunPolicy


def test_what_is_stored_of_policies_leaves_defaults_out() -> None:
    assert msgspec.json.encode(Policies()) == b'{"retry":{}}'
    assert msgspec.json.encode(RunPolicy()) == b'{"retry":{}}'
    assert msgspec.json.encode(Policies(overlap="allow")) == b'{"overlap":"allow","retry":{}}'


def test_what_earlier_versions_stored_in_full_is_read() -> None:
    full = b'{"overlap":"skip","misfire":"fire_once","retry":{},"queue":"default","priority":0}'
    assert msgspec.json.decode(full, type=Policies) == Policies()
