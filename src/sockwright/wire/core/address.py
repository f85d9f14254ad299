"""Link-layer addresses as values. IP addresses are those of `ipaddress`."""

from __future__ import annotations

import re
from typing import Self

__all__ = ["MACAddress", "mac_octets"]

_TEXT = re.compile(r"[0-9A-Fa-f]{1,2}([:-])(?:[0-9A-Fa-f]{1,2}\1){4}[0-9A-Fa-f]{1,2}")


def mac_octets(address: str | bytes) -> bytes:
    """Return the six octets of an address in text or octets.

    Raises: ValueError for anything else.
    """
    if isinstance(address, str):
        if address[2::3] == ":::::" and len(address) == 17:
            address = bytes.fromhex(address.replace(":", ""))
        elif _TEXT.fullmatch(address):
            address = bytes(int(part, 16) for part in re.split("[:-]", address))
        else:
            raise ValueError(f"{address!r} is not a MAC address such as '02:00:00:00:00:01'")
    if len(address) != 6:
        raise ValueError(f"a MAC address has 6 octets, not {len(address)}")
    return bytes(address)


class MACAddress(bytes):
    """A 48-bit MAC address (EUI-48, IEEE 802): six octets that print as ``02:00:00:00:00:01``.

    Made from text with colons or dashes, or from six octets. Raises: ValueError for anything else.
    """

    __slots__ = ()

    def __new__(cls, address: str | bytes) -> Self:
        """Make an address from ``02:00:00:00:00:01``, ``02-00-00-00-00-01`` or six octets."""
        return super().__new__(cls, mac_octets(address))

    def __str__(self) -> str:
        return self.hex(":")

    def __repr__(self) -> str:
        return f"MACAddress('{self}')"

    @property
    def is_multicast(self) -> bool:
        """Whether the group bit is set (IEEE 802, section 8.2); broadcast counts."""
        return bool(self[0] & 1)

    @property
    def is_broadcast(self) -> bool:
        """Whether all 48 bits are set."""
        return self == b"\xff" * 6

    @property
    def is_local(self) -> bool:
        """Whether the address is locally administered, as those of virtual interfaces are."""
        return bool(self[0] & 2)
