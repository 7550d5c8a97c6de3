"""Which addresses a request of a tenant may reach. Pure: it judges addresses, it resolves nothing.

Only globally routable unicast addresses are allowed; the operator allows more by network (`--allow-target`). Link-local
addresses stay forbidden even then: cloud machines hand out their credentials there. An IPv6 address that carries an
IPv4 one (mapped, compatible, 6to4, Teredo, NAT64) is judged by what it carries.
"""

import ipaddress
from collections.abc import Sequence
from typing import TypeAlias

from msgspec import Struct

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_COMPATIBLE = ipaddress.IPv6Network("::/96")
_SITE_LOCAL = ipaddress.IPv6Network("fec0::/10")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")


class TargetGuard(Struct, frozen=True):
    """`allowed` are the networks that the operator opened."""

    allowed: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, networks: Sequence[str]) -> "TargetGuard":
        """Raises ValueError for what is not a network; `worker.options` reports it first."""
        return cls(tuple(ipaddress.ip_network(text) for text in networks))

    def refusal(self, address: str) -> str | None:
        """Why the address may not be reached; None where it may."""
        try:
            given = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return f"{address!r} is not an IP address"
        carried = _carried(given)
        if any(each.is_link_local for each in (given, carried)):
            return f"{address} is link-local, which is never allowed"
        if carried.is_multicast or carried.is_unspecified:
            return f"{address} is not the address of one host"
        if any(each in network for network in self.allowed for each in (given, carried)):
            return None
        if carried.is_global and given not in _NAT64_LOCAL and given not in _SITE_LOCAL:
            return None
        return f"{address} is private; the operator can allow it with --allow-target"


def _carried(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one, else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
