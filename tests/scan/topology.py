"""The network that scans are tested and measured on: a scanner, a router, a target.

::

    scanner 10.61.0.2 --- 10.61.0.1 router 10.62.0.1 --- 10.62.0.2 target
            fd61::2       fd61::1          fd62::1       fd62::2

Three hosts of a lab, so nothing outlives the test, and joined by veth pairs without the lab's
bridges between them: a scan of all ports by nmap takes 0.8 s here, and 1.2 s across bridges. Where
the way is to be slow, a fourth host between scanner and router holds every frame back.

Faults of the way (`Network.lose`, `Network.police`) are rules of nftables on the router, in its
forward chain. What a target does with a port is in `tests.scan.target`.
"""

from __future__ import annotations

import os
import random
import select
import socket
import time
from typing import TYPE_CHECKING, Self

from tests.scan.delay import carry

from sockwright.lab import Lab
from sockwright.lab.rtnetlink import turn_off_offloads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from sockwright.lab import Call, Host

__all__ = [
    "ALL_PORTS",
    "SCANNER",
    "SCANNER6",
    "TARGET",
    "TARGET6",
    "Network",
    "listen",
    "open_ports",
]

SCANNER, SCANNER6 = "10.61.0.2", "fd61::2"
TARGET, TARGET6 = "10.62.0.2", "fd62::2"
ALL_PORTS = range(1, 65536)
_READY_S = 30.0


def open_ports(count: int = 201, seed: int = 1) -> list[int]:
    """Choose ports at random, the same ones for the same seed."""
    return sorted(random.Random(seed).sample(ALL_PORTS, count))


class Network:
    """The three hosts, from ``with Network() as network:`` until the end of that block.

    `delay` is in seconds, each way: a round-trip time of twice that.
    """

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self._lab = Lab()

    def __enter__(self) -> Self:
        self._lab.__enter__()
        try:
            self._build()
        except BaseException:
            self._lab.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lab.close()

    def start(self, host: Host, function: Callable[..., None], *args: object) -> Call[None]:
        """Start a function that serves for ever in a host; return when it is ready.

        Its last argument is a descriptor to which it writes an octet then.
        """
        reading, writing = os.pipe()
        try:
            call = host.start(function, *args, writing)
            os.close(writing)
            if not os.read(reading, 1):
                call.result()
        finally:
            os.close(reading)
        return call

    def rules(self, host: Host, table: str, text: str) -> None:
        """Replace an nftables table of a host; an empty text removes it."""
        text = f"table inet {table} {{\n{text}\n}}\n" if text else ""
        host.run(
            ["nft", "-f", "-"],
            # To be deleted a table has to be there.
            input=f"table inet {table} {{}}\ndelete table inet {table}\n{text}",
            check=True,
        )

    def lose(self, share: float, back: float | None = None) -> None:
        """Lose this share of the packets by chance, each way; `back` is towards the scanner."""
        ways = (("near", share), ("far", share if back is None else back))
        rules = [
            f'iifname "{name}" numgen random mod 10000 < {round(lost * 10_000)} drop'
            for name, lost in ways
            if lost
        ]
        self._forward("loss", rules)

    def police(self, rate: int, burst: int = 100) -> None:
        """Drop what goes towards the target beyond `rate` packets a second; 0 lets all pass."""
        rule = f'iifname "near" limit rate over {rate}/second burst {burst} packets drop'
        self._forward("policer", [rule] if rate else [])

    def _forward(self, table: str, rules: Sequence[str]) -> None:
        chain = "type filter hook forward priority 0;"
        body = "\n".join(rules)
        self.rules(self.router, table, f"chain forward {{ {chain}\n{body}\n}}" if rules else "")

    def _build(self) -> None:
        # Each on a segment of its own, where nobody else is: a lab wants one.
        self.scanner, self.router, self.target = (
            self._lab.hosts(name, segment=at)[0]
            for at, name in enumerate(("scanner", "router", "target"))
        )
        near = ("10.61.0.1/24", "fd61::1/64")
        scanner = (self.scanner, "net", (f"{SCANNER}/24", f"{SCANNER6}/64"))
        target = (self.target, "net", (f"{TARGET}/24", f"{TARGET6}/64"))
        if self.delay:
            (wire,) = self._lab.hosts("wire", segment=3)
            _join(scanner, (wire, "a", ()), program=True)
            _join((self.router, "near", near), (wire, "b", ()), program=True)
            self.start(wire, carry, "a", "b", self.delay)
        else:
            _join(scanner, (self.router, "near", near))
        _join(target, (self.router, "far", ("10.62.0.1/24", "fd62::1/64")))
        self.router.set("net.ipv4.ip_forward", 1)
        self.router.set("net.ipv6.conf.all.forwarding", 1)
        for host, number in ((self.scanner, 61), (self.target, 62)):
            host.links.add_route("0.0.0.0/0", f"10.{number}.0.1")
            host.links.add_route("::/0", f"fd{number}::1")


def _join(
    one: tuple[Host, str, tuple[str, ...]],
    other: tuple[Host, str, tuple[str, ...]],
    *,
    program: bool = False,
) -> None:
    """Join two hosts by a veth pair: host, name of its end, addresses. Ready at return.

    With `program` what comes out at an end is read by a program, so the kernel has to fill in
    checksums and cut segments to their real length.
    """
    mac = ":".join(f"{octet:02x}" for octet in b"\2" + random.randbytes(5))
    namespace = other[0]._namespaces[0]
    one[0].links.add_veth(one[1], peer=other[1], peer_mac=mac, peer_namespace=namespace)
    for host, name, addresses in (one, other):
        if program:
            with host.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                turn_off_offloads(sock, name)
        index = host.links.index(name)
        host.links.set_link(index, up=True)
        for address in addresses:
            host.links.add_address(index, address)
    deadline = time.monotonic() + _READY_S
    for host, name, _ in (one, other):
        index = host.links.index(name)
        while not (host.links.is_operational(name) and host.links.is_settled(index)):
            # The kernel brings links and IPv6 addresses up in its own time, and tells nobody.
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} of {host.name} does not come up")
            time.sleep(0.0005)


def listen(ports: Sequence[int], ready: int) -> None:
    """Listen on TCP ports, IPv4 and IPv6; accept and close, for ever.

    A connection that nobody accepts would stay, and the port fall silent after `somaxconn` of them.
    """
    poll = select.epoll()
    listeners = {}
    for port in ports:
        sock = socket.create_server(
            ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024
        )
        sock.setblocking(False)
        listeners[sock.fileno()] = sock
        poll.register(sock, select.EPOLLIN)
    os.write(ready, b"r")
    while True:
        for number, _ in poll.poll():
            try:
                listeners[number].accept()[0].close()
            except OSError:  # gone since
                continue
