"""One segment of a lab: a switch, and the ports that its hosts are at.

A segment is a bridge of the kernel in a namespace of its own (the room of the switches, where no
interface has an address, so nothing there ever speaks), or, while any of its ways has a fault, a
process that carries the frames instead. Rules:

- a port is in the bridge or with the process, never with both;
- `apply` is the only place that changes which.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sockwright.lab import channel
from sockwright.lab.rtnetlink import Rtnetlink, turn_off_offloads

if TYPE_CHECKING:
    from sockwright.lab.host import Host, Interface
    from sockwright.lab.keeping import Keeping

__all__ = ["Segment"]

_ETH_P_ALL = 0x0003
_READY_S = 5.0  # a carrier comes within milliseconds; longer than this and something is wrong
_POLL_S = 0.0005


@dataclass(slots=True)
class _Fault:
    """What one direction between two hosts does to frames."""

    loss: float = 0.0
    delay_ns: int = 0
    seed: int | None = None


@dataclass(slots=True)
class _Port:
    """Where a host is plugged in: the names and numbers of both ends of the veth pair."""

    host: Host
    interface: Interface
    name: str
    index: int


class Segment:
    """The segment of this number; `room` is the rtnetlink socket of the switches' namespace."""

    __slots__ = ("_bridge", "_faults", "_keeping", "_ports", "_room", "_switch", "number")

    def __init__(self, number: int, keeping: Keeping, room: Rtnetlink) -> None:
        self.number = number
        self._keeping = keeping
        self._room = room
        self._ports: dict[Host, _Port] = {}
        self._faults: dict[tuple[Host, Host], _Fault] = {}
        self._switch: socket.socket | None = None
        bridge = f"segment{number}"
        room.add_bridge(bridge)
        self._bridge = room.index(bridge)
        room.set_link(self._bridge, up=True)

    @property
    def hosts(self) -> list[Host]:
        """The hosts on this segment, in the order of their coming."""
        return list(self._ports)

    def plug_in(self, host: Host, interface: Interface, namespace: int, links: Rtnetlink) -> None:
        """Give a host an interface on this segment, with its addresses.

        Raises: `OSError`.
        """
        name = f"{self.number}-{interface.name}-{host.name}"[:15]
        self._room.add_veth(
            name, peer=interface.name, peer_mac=interface.mac, peer_namespace=namespace
        )
        port = _Port(host, interface, name, self._room.index(name))
        index = links.index(interface.name)
        with self._keeping.socket(host.name, socket.AF_INET, socket.SOCK_DGRAM, 0) as sock:
            turn_off_offloads(sock, interface.name)
        with self._keeping.socket("", socket.AF_INET, socket.SOCK_DGRAM, 0) as sock:
            turn_off_offloads(sock, name)
        # The host's end first, with all that it wants to announce, while nobody can hear it.
        links.set_link(index, up=True)
        self._room.set_link(port.index, up=True)
        links.add_address(index, f"{interface.ipv4}/{interface.ipv4_prefix}")
        links.add_address(index, f"{interface.ipv6}/{interface.ipv6_prefix}")
        self._ports[host] = port
        if self._switch is None:
            self._room.set_link(port.index, master=self._bridge)
        else:
            self._replace_switch()

    def set_up(self, host: Host, *, up: bool) -> None:
        """Plug the cable of a host in or out."""
        self._room.set_link(self._ports[host].index, up=up)

    def wait(self, host: Host) -> None:
        """Wait until a host and the switch see each other, and the host has nothing to announce.

        The kernel brings a carrier up a moment after the request, in its own time, and then an
        IPv6 link-local address with its multicast group. It would be heard in somebody's capture.

        Raises: `TimeoutError`.
        """
        port = self._ports[host]
        deadline = time.monotonic() + _READY_S
        index = host.links.index(port.interface.name)
        while not (
            host.links.is_operational(port.interface.name)
            and self._room.is_operational(port.name)
            and host.links.is_settled(index)
        ):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no carrier on {port.interface.name} of {host.name}")
            time.sleep(_POLL_S)
        # Nothing new: it waits for the kernel's lock, and so for what it was doing just now.
        host.links.set_link(index, up=True)

    def remove(self, host: Host) -> None:
        """Remove the interface of a host from it and from here."""
        port = self._ports.pop(host)
        self._faults = {way: fault for way, fault in self._faults.items() if host not in way}
        try:
            self._room.delete_link(port.index)
        except OSError as error:
            if error.errno != errno.ENODEV:  # the host may have removed its end itself
                raise
        if self._switch is not None:
            self._replace_switch()

    def fault(self, source: Host, target: Host) -> _Fault:
        """Return the fault of one direction; `apply` after changing it."""
        return self._faults.setdefault((source, target), _Fault())

    def apply(self) -> None:
        """Make the switch do what the faults say."""
        self._faults = {
            way: fault for way, fault in self._faults.items() if fault.loss or fault.delay_ns
        }
        if self._faults and self._switch is None:
            self._start_switch()
        elif self._faults:
            self._tell_switch()
        elif self._switch is not None:
            self._end_switch()
            for port in self._ports.values():
                self._room.set_link(port.index, master=self._bridge)

    def close(self) -> None:
        """Let go of the switch; the namespaces end with the lab."""
        self._end_switch()

    def _replace_switch(self) -> None:
        self._end_switch()
        if self._faults:
            self._start_switch()

    def _start_switch(self) -> None:
        for port in self._ports.values():
            self._room.set_link(port.index, master=0)
        macs = [port.interface.mac for port in self._ports.values()]
        with contextlib.ExitStack() as stack:
            descriptors = []
            for port in self._ports.values():
                sock = self._keeping.socket("", socket.AF_PACKET, socket.SOCK_RAW, 0)
                stack.enter_context(sock)
                sock.bind((port.name, _ETH_P_ALL))
                descriptors.append(sock.fileno())
            self._switch = self._keeping.switch(macs, tuple(descriptors))
        self._tell_switch()

    def _tell_switch(self) -> None:
        assert self._switch is not None
        number = {host: at for at, host in enumerate(self._ports)}
        paths = []
        for (source, target), fault in self._faults.items():
            # Both directions of one seed would otherwise lose the same frames.
            seed = None if fault.seed is None else f"{fault.seed} {source.name} {target.name}"
            paths.append([number[source], number[target], fault.loss, fault.delay_ns, seed])
        channel.send(self._switch, {"paths": paths})
        channel.receive(self._switch)

    def _end_switch(self) -> None:
        if self._switch is not None:
            self._switch.shutdown(socket.SHUT_RDWR)
            self._switch.close()
            self._switch = None
