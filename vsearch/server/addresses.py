"""Network addresses of clients: loopback, and groups that one client controls."""

from __future__ import annotations

import ipaddress

IPV6_GROUP_BITS = 64  # the smallest network that providers give to one customer


def is_ip_address(host_name: str) -> bool:
    """Return True for a numeric address, in brackets or not."""
    return _parse_address(host_name) is not None


def is_loopback(host_name: str) -> bool:
    """Return True if `host_name` is reachable from this machine only."""
    if host_name.lower() == "localhost":
        return True
    ip_address = _parse_address(host_name)
    return ip_address is not None and ip_address.is_loopback


def group_address(client_address: str) -> str:
    """Return the key under which the requests of a client are counted.

    Args:
        client_address: Address of the client; anything that is not an address is its own group.

    Returns:
        The IPv4 address, also if it is written as IPv6, or the /64 network of an IPv6 address,
        all of which belongs to one client.
    """
    ip_address = _parse_address(client_address)
    if not isinstance(ip_address, ipaddress.IPv6Address):
        return client_address if ip_address is None else str(ip_address)
    network_bits = int(ip_address) >> (128 - IPV6_GROUP_BITS) << (128 - IPV6_GROUP_BITS)
    return f"{ipaddress.IPv6Address(network_bits)}/{IPV6_GROUP_BITS}"


def _parse_address(host_name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return an address, also an IPv4 address that a socket for both versions writes as IPv6."""
    try:
        ip_address = ipaddress.ip_address(host_name.strip("[]"))
    except ValueError:
        return None
    return getattr(ip_address, "ipv4_mapped", None) or ip_address
