from rota.domain.errors import DomainError
from rota.services.address_budget import ADDRESS_AT_ONCE_MAX, ALL_AT_ONCE_MAX, AddressBudget
from tests.unit.services.virtual_time import VirtualClock


def allowed(budget: AddressBudget, secret_hash: bytes) -> bool:
    try:
        budget.spend(secret_hash)
    except DomainError as refused:
        return refused.code != "RATE_LIMITED"
    return True


async def test_an_address_has_a_budget_that_comes_back_with_time() -> None:
    clock = VirtualClock()
    budget = AddressBudget(clock)
    asked = [allowed(budget, b"a") for _ in range(ADDRESS_AT_ONCE_MAX + 1)]
    assert asked == [True] * ADDRESS_AT_ONCE_MAX + [False]
    assert allowed(budget, b"b")
    await clock.run_for(1.0)
    assert [allowed(budget, b"a") for _ in range(2)] == [True, False]


def test_who_guesses_spends_the_budget_of_all() -> None:
    budget = AddressBudget(VirtualClock())
    count = sum(allowed(budget, str(number).encode()) for number in range(2 * ALL_AT_ONCE_MAX))
    assert count == ALL_AT_ONCE_MAX
