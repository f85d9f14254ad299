"""`Machine`: what `explain` needs to know about the machine whose sockets it tells of."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sockwright.sockets.interface_list import Interface

__all__ = ["Machine"]

# The settings that sentences rest on, with the kernel's own defaults for where /proc says nothing.
_SETTINGS = {
    "net.core.somaxconn": 4096,
    "net.ipv4.ip_unprivileged_port_start": 1024,
    "net.ipv4.tcp_abort_on_overflow": 0,
    "net.ipv4.tcp_syn_retries": 6,
    "net.ipv4.tcp_syn_linear_timeouts": 0,  # kernels before 6.5 have none
    "net.ipv4.tcp_synack_retries": 5,
    "net.ipv4.tcp_retries2": 15,
    "net.ipv4.tcp_orphan_retries": 0,
}


class Machine:
    """The interfaces of a network namespace, their addresses, and some settings.

    `devices` has the names of interfaces by their indexes, `addresses` the names of the interfaces
    that have an address, by the address ("192.0.2.1", without prefix length), `settings` numbers
    of sysctl(8) by their names ("net.core.somaxconn"), `broadcasts` the names of the interfaces
    whose network has a broadcast address, by that address ("192.0.2.255").
    """

    __slots__ = ("addresses", "broadcasts", "devices", "settings")

    def __init__(
        self,
        devices: Mapping[int, str],
        addresses: Mapping[str, tuple[str, ...]],
        settings: Mapping[str, int],
        broadcasts: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self.devices = devices
        self.addresses = addresses
        self.settings = settings
        self.broadcasts = broadcasts or {}

    @classmethod
    def gather(cls, namespace: int | str | None = None) -> Machine:
        """Ask the kernel, in a network namespace (as `sockwright.sockets.diag.namespace` takes it).

        Takes 2 ms, beside the 30 ms that it takes to load what lists interfaces.

        Raises: as `sockwright.sockets.diag.namespace.call_inside`, and OSError as the kernel says.
        """
        from sockwright.sockets.diag.namespace import call_inside

        addresses: dict[str, tuple[str, ...]] = {}
        broadcasts: dict[str, tuple[str, ...]] = {}
        found, settings = call_inside(namespace, _ask)
        for interface in found:
            for network in interface.addresses:
                address = network.partition("/")[0]
                addresses[address] = (*addresses.get(address, ()), interface.name)
                broadcast = _broadcast(network)
                names = broadcasts.get(broadcast, ())
                if broadcast and interface.name not in names:
                    broadcasts[broadcast] = (*names, interface.name)
        return cls({one.index: one.name for one in found}, addresses, settings, broadcasts)

    def setting(self, name: str) -> int:
        """Return a setting, as the kernel has it when nobody set it where it is not known."""
        return self.settings.get(name, _SETTINGS[name])

    def is_own(self, address: str) -> bool:
        """Return whether an address is one of this machine; IPv4 mapped into IPv6 is IPv4."""
        plain = address.removeprefix("::ffff:")
        return plain.startswith("127.") or plain == "::1" or plain in self.addresses

    def device(self, index: int) -> str:
        """Return the name of an interface; "if" and its index where it is not known."""
        return self.devices.get(index) or f"if{index}"


def _ask() -> tuple[list[Interface], dict[str, int]]:
    """Return what there is to know where this process, or this copy of it, is."""
    from sockwright.sockets.interface_list import interfaces

    return interfaces(), {name: _setting(name, usual) for name, usual in _SETTINGS.items()}


def _broadcast(network: str) -> str:
    """Return the broadcast address of "192.0.2.1/24", "" where there is none.

    It is the one that the kernel assigns by itself: RFC 919 section 7, for networks of more than
    two addresses (RFC 3021).
    """
    from ipaddress import IPv4Interface

    if ":" in network:
        return ""
    found = IPv4Interface(network).network
    return str(found.broadcast_address) if found.prefixlen < 31 else ""


def _setting(name: str, usual: int) -> int:
    try:
        with open("/proc/sys/" + name.replace(".", "/"), encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return usual
