"""Headers as typed values: octets to fields and back. Pure: no I/O, no clock."""

from __future__ import annotations

from sockwright.wire.core.address import MACAddress
from sockwright.wire.core.field import AUTO
from sockwright.wire.core.header import Header
from sockwright.wire.core.packet import Packet

__all__ = ["AUTO", "Header", "MACAddress", "Packet"]
