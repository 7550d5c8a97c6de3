from uuid import UUID

from rota.adapters.system_clock import SystemClock
from rota.adapters.system_ids import SystemIds
from rota.adapters.system_rng import SystemRng


def test_ids_are_version_7_and_grow_within_a_millisecond() -> None:
    ids = SystemIds()
    made = [ids.new_id() for _ in range(20_000)]

    assert made == sorted(set(made))
    assert {(UUID(one).version, UUID(one).variant) for one in made} == {(7, "specified in RFC 4122")}


def test_ids_carry_the_time() -> None:
    clock = SystemClock()
    before = clock.wall_ns() // 1_000_000
    milliseconds = UUID(SystemIds().new_id()).int >> 80

    assert before <= milliseconds <= clock.wall_ns() // 1_000_000 + 1


def test_secrets_have_192_bits_or_more_and_differ() -> None:
    ids = SystemIds()
    secrets = {ids.new_secret() for _ in range(100)}

    assert len(secrets) == 100
    assert all(len(secret) * 6 >= 192 and secret.replace("-", "").replace("_", "").isalnum() for secret in secrets)


def test_a_seed_gives_the_same_throws_within_the_unit_interval() -> None:
    first, again = SystemRng(7), SystemRng(7)
    throws = [first.uniform() for _ in range(1000)]

    assert throws == [again.uniform() for _ in range(1000)]
    assert all(0 <= throw < 1 for throw in throws)


async def test_the_clock_measures_what_it_sleeps() -> None:
    clock = SystemClock()
    began = clock.monotonic_seconds()
    await clock.sleep(0.02)
    await clock.sleep(-1)

    assert 0.019 <= clock.monotonic_seconds() - began < 5
