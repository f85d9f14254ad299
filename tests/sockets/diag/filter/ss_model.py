"""What ss 6.1 makes of a condition, where it differs from what the condition says.

ss gives a program to the kernel, and then asks each row that comes back once more. What it asks
then is not the same:

- An address is compared without regard to the family, as if IPv4 addresses were the first four
  octets of an IPv6 address; a prefix of length 0 fits every row.
- ``autobound`` is to the kernel that nobody asked for the port (which holds for accepted and
  time-waiting sockets too), and to ss a port in the range of those that the kernel hands out.

A row has to pass both, so ``not`` before one of these loses rows. Where ``dev`` stands anywhere in
the filter there is no program, and ss asks alone.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from sockwright.sockets.diag.filter import conditions, hosts
from sockwright.sockets.diag.inet import InetSocket

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from sockwright.sockets.diag.row import SocketRow

__all__ = ["is_quirky", "ss_selects"]

_MAPPED = bytes(10) + b"\xff\xff"


def is_quirky(condition: conditions.Condition, *, alone: bool = False) -> bool:
    """Tell whether ss may see something else in it; `alone`: without the kernel's help."""
    leaves = list(condition.leaves())
    if any(isinstance(leaf, conditions.Autobound) for leaf in leaves):
        return True
    with_hosts = any(isinstance(leaf, hosts.InetHost) for leaf in leaves)
    return with_hosts and (alone or _negates(condition) or _without_program(condition))


def _negates(condition: conditions.Condition) -> bool:
    if isinstance(condition, conditions.All | conditions.Either):
        return any(map(_negates, condition.conditions))
    return isinstance(condition, conditions.Not)


def _without_program(condition: conditions.Condition) -> bool:
    return any(isinstance(leaf, conditions.Device) for leaf in condition.leaves())


def ss_selects(
    condition: conditions.Condition, row: SocketRow, unasked: Container[object] | None, key: object
) -> bool:
    """Tell whether ss shows the row.

    `unasked` has the keys of rows whose port nobody asked for; None where there is no program.
    """

    def kernel(leaf: conditions.Condition) -> bool:
        if isinstance(leaf, conditions.Autobound):
            return unasked is not None and key in unasked
        return leaf.matches(row)

    def client(leaf: conditions.Condition) -> bool:
        return _fits(leaf, row) if isinstance(leaf, hosts.InetHost) else leaf.matches(row)

    without = unasked is None or _without_program(condition)
    passed = without or _holds(condition, kernel)
    return passed and _holds(condition, client)


def _holds(condition: conditions.Condition, leaf: Callable[[conditions.Condition], bool]) -> bool:
    if isinstance(condition, conditions.All):
        return all(_holds(one, leaf) for one in condition.conditions)
    if isinstance(condition, conditions.Either):
        return any(_holds(one, leaf) for one in condition.conditions)
    if isinstance(condition, conditions.Not):
        return not _holds(condition.condition, leaf)
    return leaf(condition)


def _fits(host: hosts.InetHost, row: SocketRow) -> bool:
    assert isinstance(row, InetSocket)
    own = host.side == "src"
    if host.port is not None and host.port != (row.local_port if own else row.peer_port):
        return False
    text = row.local_address if own else row.peer_address
    octets = socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    if _begin_alike(octets, host.octets, host.prefix):
        return True
    mapped = host.version == "inet" and len(octets) == 16 and octets.startswith(_MAPPED)
    return mapped and _begin_alike(octets[12:], host.octets, host.prefix)


def _begin_alike(one: bytes, other: bytes, bits: int) -> bool:
    numbers = [int.from_bytes(octets.ljust(16, b"\0"), "big") for octets in (one, other)]
    return numbers[0] >> (128 - bits) == numbers[1] >> (128 - bits)
