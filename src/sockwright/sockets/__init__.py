"""Real sockets: stream, datagram, raw and packet, blocking here and for asyncio in `aio`.

Nothing is loaded before it is used: `sockwright.sockets.connect` imports `stream_socket` with what
that needs, and no more.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sockwright.sockets.datagram_socket import Datagram, IcmpReport, datagram
    from sockwright.sockets.endpoint import Endpoint, parse_endpoint
    from sockwright.sockets.interface_list import Interface, interfaces
    from sockwright.sockets.live_capture import LinkEvent, LiveCapture, capture
    from sockwright.sockets.packet_socket import Frame, PacketSocket, packet
    from sockwright.sockets.privileges import Capability, Privileges
    from sockwright.sockets.quiet import quiet_port
    from sockwright.sockets.raw_socket import KERNEL_BEHAVIOUR, RawSocket, raw
    from sockwright.sockets.ring import RingStatistics
    from sockwright.sockets.stream_socket import Listener, Seqpacket, Stream, connect, listen

__all__ = [
    "KERNEL_BEHAVIOUR",
    "Capability",
    "Datagram",
    "Endpoint",
    "Frame",
    "IcmpReport",
    "Interface",
    "LinkEvent",
    "Listener",
    "LiveCapture",
    "PacketSocket",
    "Privileges",
    "RawSocket",
    "RingStatistics",
    "Seqpacket",
    "Stream",
    "capture",
    "connect",
    "datagram",
    "interfaces",
    "listen",
    "packet",
    "parse_endpoint",
    "quiet_port",
    "raw",
]

_MODULES = {
    "datagram_socket": ("Datagram", "IcmpReport", "datagram"),
    "endpoint": ("Endpoint", "parse_endpoint"),
    "interface_list": ("Interface", "interfaces"),
    "live_capture": ("LinkEvent", "LiveCapture", "capture"),
    "packet_socket": ("Frame", "PacketSocket", "packet"),
    "privileges": ("Capability", "Privileges"),
    "quiet": ("quiet_port",),
    "raw_socket": ("KERNEL_BEHAVIOUR", "RawSocket", "raw"),
    "ring": ("RingStatistics",),
    "stream_socket": ("Listener", "Seqpacket", "Stream", "connect", "listen"),
}


if not TYPE_CHECKING:  # seen by a type checker, it would make every misspelt name an object

    def __getattr__(name: str) -> object:
        for module, names in _MODULES.items():
            if name in names:
                return getattr(import_module(f"sockwright.sockets.{module}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
