"""The laws of sharing: by weight in the long run, nobody ahead or behind by much at any time, nothing left unused."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from rota.core.fairness import REMEMBERED_MAX, WEIGHT_MAX, FairShare
from rota.domain.ids import TenantId

weights = st.lists(st.integers(1, 20), min_size=1, max_size=6)


def tenants_of(share: FairShare, given_weights: list[int]) -> list[TenantId]:
    tenants = [TenantId(f"tenant {n}") for n in range(len(given_weights))]
    for tenant_id, weight in zip(tenants, given_weights, strict=True):
        share.weigh(tenant_id, weight)
    return tenants


def serve(share: FairShare, tenants: list[TenantId], limit: int) -> list[int]:
    """One batch of tenants that all have as much as they are allotted."""
    counts = share.allot(tenants, limit)
    share.charge(list(zip(tenants, counts, strict=True)))
    return counts


@given(weights, st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_at_any_time_each_has_its_share_but_for_a_run_of_each(given_weights: list[int], limits: list[int]) -> None:
    share, served = FairShare(), [0] * len(given_weights)
    tenants = tenants_of(share, given_weights)
    for limit in limits:
        counts = serve(share, tenants, limit)
        assert sum(counts) == limit
        served = [before + count for before, count in zip(served, counts, strict=True)]
        ratios = [Fraction(count, weight) for count, weight in zip(served, given_weights, strict=True)]
        for ratio, weight in zip(ratios, given_weights, strict=True):
            assert all(ratio - other <= Fraction(1, weight) + Fraction(1, 1_000) for other in ratios)


@given(st.integers(1, WEIGHT_MAX), st.integers(1, 10_000), st.integers(1, 50))
def test_who_comes_anew_is_next_however_much_another_had(weight: int, served: int, limit: int) -> None:
    share, (heavy,) = FairShare(), (TenantId("heavy"),)
    share.weigh(heavy, weight)
    share.charge([(heavy, served)])
    serve(share, [heavy], limit)
    assert share.order([heavy, TenantId("light")])[0] == "light"
    assert share.allot([heavy, TenantId("light")], 2) == [1, 1] if weight == 1 else True
    assert share.allot([heavy, TenantId("light")], weight + 1)[1] >= 1


@given(weights, st.integers(1, 200))
def test_waiting_earns_nothing(given_weights: list[int], batches: int) -> None:
    """Who was away gets what its weight says from its return on, and not what it has missed."""
    share = FairShare()
    tenants = tenants_of(share, [1, *given_weights])
    for _ in range(batches):
        serve(share, tenants[1:], 10)
    limit = 10 * (sum(given_weights) + 1)
    assert serve(share, tenants, limit)[0] <= 10 + 2


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 150), st.integers(1, 64))
def test_none_is_passed_over_twice_among_any_number(count: int, limit: int) -> None:
    share, tenants = FairShare(), [TenantId(str(n)) for n in range(count)]
    served = [0] * len(tenants)
    for _ in range(2 * -(-len(tenants) // limit)):
        served = [before + more for before, more in zip(served, serve(share, tenants, limit), strict=True)]
    assert min(served) >= 1
    assert max(served) - min(served) <= 1


def test_memory_is_bounded_and_a_forgotten_tenant_begins_where_the_others_are() -> None:
    share = FairShare()
    for n in range(3 * REMEMBERED_MAX):
        share.weigh(TenantId(str(n)), 2)
        share.charge([(TenantId(str(n)), 5)])
    assert share.remembered_count <= 2 * REMEMBERED_MAX
    assert share.allot([TenantId("0"), TenantId("new")], 3) in ([2, 1], [1, 2])
