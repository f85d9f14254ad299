"""What a host's kernel counts, proc_pid_net(5): /proc/net/snmp, netstat and snmp6.

A file of /proc/net belongs to the network of whoever opened it. So each file is opened in the host
once, its descriptor is handed over, and reading it here takes no process in the host.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sockwright.lab.host import Host

__all__ = ["MEANING", "Counters"]

_FILES = ("snmp", "netstat", "snmp6")
_SIZE = 1 << 16  # octets, several times what such a file has

MEANING: Mapping[str, str] = {
    "Icmp.OutDestUnreachs": "sent an ICMP destination unreachable",
    "Icmp6.OutDestUnreachs": "sent an ICMPv6 destination unreachable",
    "Ip.InHdrErrors": "dropped a packet for its IP header",
    "Ip.InUnknownProtos": "got a packet whose protocol nobody takes",
    "Tcp.AttemptFails": "gave up a connection that was not established",
    "Tcp.InCsumErrors": "dropped a segment for its checksum",
    "Tcp.InErrs": "dropped a segment that was wrong",
    "Tcp.OutRsts": "sent a reset",
    "Tcp.PassiveOpens": "accepted a connection",
    "Udp.InDatagrams": "delivered a datagram to a socket",
    "Udp.InCsumErrors": "dropped a datagram for its checksum",
    "Udp.NoPorts": "got a datagram for a port where nobody listens",
}
"""The counters that tell what a kernel made of a packet, with what one more of each means."""


class Counters:
    """The counters of one host; `close` when done."""

    def __init__(self, host: Host) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            count = host.call(_send_files, theirs)
            self._files = socket.recv_fds(ours, 1, count)[1]
        for file in self._files:
            os.set_inheritable(file, False)  # Python 3.11 forgets the flags of recv_fds

    def read(self) -> dict[str, int]:
        """Return every counter by its group and name: ``Tcp.InErrs``."""
        found: dict[str, int] = {}
        for file in self._files:
            text = os.pread(file, _SIZE, 0).decode("ascii")
            found |= _pairs(text) if ":" in text else _columns(text)
        return found

    def close(self) -> None:
        """Close the files."""
        while self._files:
            os.close(self._files.pop())


def _send_files(channel: socket.socket) -> int:
    """Open the files in the host and hand them over; return how many this kernel has."""
    files = []
    for name in _FILES:
        try:
            files.append(os.open(f"/proc/self/net/{name}", os.O_RDONLY))
        except FileNotFoundError:  # no IPv6
            continue
    socket.send_fds(channel, [b"f"], files)
    return len(files)


def _pairs(text: str) -> dict[str, int]:
    """Read snmp and netstat: a line of names, then a line of numbers, both after their group."""
    lines = [line.split() for line in text.splitlines()]
    return {
        f"{names[0]}{name}".replace(":", "."): int(number)
        for names, numbers in zip(lines[::2], lines[1::2], strict=True)
        for name, number in zip(names[1:], numbers[1:], strict=True)
    }


def _columns(text: str) -> dict[str, int]:
    """Read snmp6: a name and a number on each line, the group at the start of the name."""
    found = {}
    for line in text.splitlines():
        name, number = line.split()
        group, _, rest = name.partition("6")
        found[f"{group}6.{rest}"] = int(number)
    return found
