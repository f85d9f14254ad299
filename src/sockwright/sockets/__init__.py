"""Real sockets: stream, datagram, raw and packet, blocking here and for asyncio in `aio`.

`dump` and `watch` tell of the sockets of the whole machine.

Nothing is loaded before it is used: `sockwright.sockets.connect` imports `stream_socket` with what
that needs, and no more.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sockwright.sockets.datagram_socket import Datagram, IcmpReport, datagram
    from sockwright.sockets.diag.changes import Event
    from sockwright.sockets.diag.destroy import destroy
    from sockwright.sockets.diag.filter import Condition, SocketFilter, parse_filter
    from sockwright.sockets.diag.inet import (
        InetSocket,
        MPTCPSocket,
        RawSocketRow,
        SCTPSocket,
        TCPSocket,
        UDPLiteSocket,
        UDPSocket,
    )
    from sockwright.sockets.diag.listing import Dump, Remark, dump, lookup
    from sockwright.sockets.diag.netlink import SockDiag
    from sockwright.sockets.diag.netlink_table import NetlinkSocket
    from sockwright.sockets.diag.packet import PacketSocketRow
    from sockwright.sockets.diag.processes import Process, ProcessTable, find_processes
    from sockwright.sockets.diag.row import SocketRow
    from sockwright.sockets.diag.structures.memory import SocketMemory
    from sockwright.sockets.diag.structures.tcp_info import TCPInfo
    from sockwright.sockets.diag.summary import Summary, summarize
    from sockwright.sockets.diag.timer import Timer
    from sockwright.sockets.diag.unix import UnixSocket
    from sockwright.sockets.diag.vsock import VSockSocket
    from sockwright.sockets.diag.watching import Watch, watch
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
    "Condition",
    "Datagram",
    "Dump",
    "Endpoint",
    "Event",
    "Frame",
    "IcmpReport",
    "InetSocket",
    "Interface",
    "LinkEvent",
    "Listener",
    "LiveCapture",
    "MPTCPSocket",
    "NetlinkSocket",
    "PacketSocket",
    "PacketSocketRow",
    "Privileges",
    "Process",
    "ProcessTable",
    "RawSocket",
    "RawSocketRow",
    "Remark",
    "RingStatistics",
    "SCTPSocket",
    "Seqpacket",
    "SockDiag",
    "SocketFilter",
    "SocketMemory",
    "SocketRow",
    "Stream",
    "Summary",
    "TCPInfo",
    "TCPSocket",
    "Timer",
    "UDPLiteSocket",
    "UDPSocket",
    "UnixSocket",
    "VSockSocket",
    "Watch",
    "capture",
    "connect",
    "datagram",
    "destroy",
    "dump",
    "find_processes",
    "interfaces",
    "listen",
    "lookup",
    "packet",
    "parse_endpoint",
    "parse_filter",
    "quiet_port",
    "raw",
    "summarize",
    "watch",
]

_MODULES = {
    "datagram_socket": (
        "Datagram",
        "IcmpReport",
        "datagram",
    ),
    "diag.changes": ("Event",),
    "diag.destroy": ("destroy",),
    "diag.filter": (
        "Condition",
        "SocketFilter",
        "parse_filter",
    ),
    "diag.inet": (
        "InetSocket",
        "MPTCPSocket",
        "RawSocketRow",
        "SCTPSocket",
        "TCPSocket",
        "UDPLiteSocket",
        "UDPSocket",
    ),
    "diag.listing": (
        "Dump",
        "Remark",
        "dump",
        "lookup",
    ),
    "diag.structures.memory": ("SocketMemory",),
    "diag.netlink": ("SockDiag",),
    "diag.netlink_table": ("NetlinkSocket",),
    "diag.packet": ("PacketSocketRow",),
    "diag.processes": (
        "Process",
        "ProcessTable",
        "find_processes",
    ),
    "diag.row": ("SocketRow",),
    "diag.summary": (
        "Summary",
        "summarize",
    ),
    "diag.structures.tcp_info": ("TCPInfo",),
    "diag.timer": ("Timer",),
    "diag.unix": ("UnixSocket",),
    "diag.vsock": ("VSockSocket",),
    "diag.watching": (
        "Watch",
        "watch",
    ),
    "endpoint": (
        "Endpoint",
        "parse_endpoint",
    ),
    "interface_list": (
        "Interface",
        "interfaces",
    ),
    "live_capture": (
        "LinkEvent",
        "LiveCapture",
        "capture",
    ),
    "packet_socket": (
        "Frame",
        "PacketSocket",
        "packet",
    ),
    "privileges": (
        "Capability",
        "Privileges",
    ),
    "quiet": ("quiet_port",),
    "raw_socket": (
        "KERNEL_BEHAVIOUR",
        "RawSocket",
        "raw",
    ),
    "ring": ("RingStatistics",),
    "stream_socket": (
        "Listener",
        "Seqpacket",
        "Stream",
        "connect",
        "listen",
    ),
}


if not TYPE_CHECKING:  # seen by a type checker, it would make every misspelt name an object

    def __getattr__(name: str) -> object:
        for module, names in _MODULES.items():
            if name in names:
                return getattr(import_module(f"sockwright.sockets.{module}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
