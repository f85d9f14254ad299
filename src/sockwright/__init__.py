"""One workbench for every kind of socket: stream, datagram and raw.

The public names live in the packages below this one; `_HOME` says where. Each is loaded when it is
first asked for, so that ``import sockwright`` costs next to nothing.
"""

from __future__ import annotations

# Type checkers take this constant as true; the typing module alone would cost half the budget.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from sockwright import nc as nc
    from sockwright.columns import CaptureFile, Columns, open_capture
    from sockwright.errors import (
        DecodeError,
        EndpointError,
        LayerError,
        NotPossibleError,
        SockwrightError,
        TruncatedError,
        UsageError,
    )
    from sockwright.filters import FilterError, compile_filter
    from sockwright.lab import Lab
    from sockwright.records import CapturedPacket
    from sockwright.scan import HostResult, PortResult, Scan
    from sockwright.sockets import LiveCapture, capture, connect, datagram, listen, packet, raw
    from sockwright.wire import (
        ARP,
        AUTO,
        ICMP,
        TCP,
        UDP,
        VLAN,
        Ethernet,
        Finding,
        ICMPv6,
        IPv4,
        IPv6,
        MACAddress,
        Packet,
        fragment,
        reassemble,
        vary,
    )

__version__ = "0.1.0"

__all__ = [
    "ARP",
    "AUTO",
    "ICMP",
    "TCP",
    "UDP",
    "VLAN",
    "CaptureFile",
    "CapturedPacket",
    "Columns",
    "DecodeError",
    "EndpointError",
    "Ethernet",
    "FilterError",
    "Finding",
    "HostResult",
    "ICMPv6",
    "IPv4",
    "IPv6",
    "Lab",
    "LayerError",
    "LiveCapture",
    "MACAddress",
    "NotPossibleError",
    "Packet",
    "PortResult",
    "Scan",
    "SockwrightError",
    "TruncatedError",
    "UsageError",
    "__version__",
    "capture",
    "compile_filter",
    "connect",
    "datagram",
    "fragment",
    "listen",
    "open_capture",
    "packet",
    "raw",
    "reassemble",
    "vary",
]

_HOME = {
    "ARP": "wire",
    "AUTO": "wire",
    "CaptureFile": "columns",
    "CapturedPacket": "records",
    "Columns": "columns",
    "DecodeError": "errors",
    "EndpointError": "errors",
    "Ethernet": "wire",
    "FilterError": "filters",
    "Finding": "wire",
    "HostResult": "scan",
    "ICMP": "wire",
    "ICMPv6": "wire",
    "IPv4": "wire",
    "IPv6": "wire",
    "Lab": "lab",
    "LayerError": "errors",
    "LiveCapture": "sockets",
    "MACAddress": "wire",
    "NotPossibleError": "errors",
    "Packet": "wire",
    "PortResult": "scan",
    "Scan": "scan",
    "SockwrightError": "errors",
    "TCP": "wire",
    "TruncatedError": "errors",
    "UDP": "wire",
    "UsageError": "errors",
    "VLAN": "wire",
    "capture": "sockets",
    "compile_filter": "filters",
    "connect": "sockets",
    "datagram": "sockets",
    "fragment": "wire",
    "listen": "sockets",
    "open_capture": "columns",
    "packet": "sockets",
    "raw": "sockets",
    "reassemble": "wire",
    "vary": "wire",
}


if not TYPE_CHECKING:  # seen by a type checker, it would make every misspelt name an object

    def __getattr__(name: str) -> object:
        """Load the public name `name` from its home and keep it here; `nc` is a home itself."""
        from importlib import import_module

        if name == "nc":
            return import_module(f"{__name__}.nc")
        home = _HOME.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value: object = getattr(import_module(f"{__name__}.{home}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """Return the public names, loaded or not."""
    return sorted(__all__)
