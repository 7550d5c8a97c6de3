import pytest

from rota.worker.target_guard import TargetGuard

CLOSED = TargetGuard.parse(())
OPEN = TargetGuard.parse(("0.0.0.0/0", "::/0"))


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert CLOSED.refusal(address) is None


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "0.0.0.0", "255.255.255.255"),
        *("192.0.2.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "169.254.169.254"),
        *("::1", "::", "fc00::1", "fe80::1", "fe80::1%eth0", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254"),
        *("fec0::1", "::127.0.0.1", "::10.0.0.1"),
        *("2002:7f00:1::", "2002:a9fe:a9fe::", "64:ff9b::7f00:1", "64:ff9b:1::1", "2001:db8::1"),
        "nonsense",
    ],
)
def test_other_addresses_are_refused_with_a_reason(address: str) -> None:
    assert address.partition("%")[0] in (CLOSED.refusal(address) or "")


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "::1", "fc00::1", "::ffff:10.0.0.1", "2002:0a00:1::"])
def test_the_operator_can_allow_private_networks(address: str) -> None:
    assert OPEN.refusal(address) is None


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "fe80::1",
        "::ffff:169.254.169.254",
        "2002:a9fe:a9fe::",
        "64:ff9b::a9fe:a9fe",
        "224.0.0.1",
        "::",
    ],
)
def test_link_local_and_group_addresses_are_never_allowed(address: str) -> None:
    assert OPEN.refusal(address) is not None


def test_only_what_lies_in_the_named_network_is_allowed() -> None:
    guard = TargetGuard.parse(("10.1.0.0/16",))
    assert guard.refusal("10.1.255.1") is None
    assert guard.refusal("10.2.0.1") is not None
