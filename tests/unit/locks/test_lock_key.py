"""The number of a lock is published: it is the same in every process, on every machine, in every release (T21)."""

import subprocess
import sys

import pytest

from rota.core.lock_key import lock_key

GOLDEN = {
    ("acme", "nightly"): -5460931541188691804,
    ("acme", "weekly"): -442689269165011390,
    ("globex", "nightly"): -362463566756130589,
    ("Zürich", "schlüssel"): -2490271104634057990,
}


@pytest.mark.parametrize(("tenant_and_name", "key"), GOLDEN.items())
def test_the_key_of_a_lock_never_changes(tenant_and_name: tuple[str, str], key: int) -> None:
    assert lock_key(*tenant_and_name) == key


def test_another_process_with_another_hash_seed_gives_the_same_key() -> None:
    command = [sys.executable, "-c", "from rota.core.lock_key import lock_key; print(lock_key('acme', 'nightly'))"]
    said = {
        subprocess.run(command, env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True).stdout
        for seed in ("1", "2")
    }
    assert said == {f"{GOLDEN['acme', 'nightly']}\n"}


def test_tenant_and_name_do_not_run_into_each_other() -> None:
    assert lock_key("ab", "c") != lock_key("a", "bc")


def test_the_key_fits_a_signed_64_bit_number() -> None:
    keys = [lock_key("acme", f"n{number}") for number in range(200)]
    assert len(set(keys)) == 200
    assert min(keys) < 0 < max(keys)
    assert all(-(2**63) <= key < 2**63 for key in keys)
