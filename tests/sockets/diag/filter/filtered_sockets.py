"""Be a machine whose sockets differ in all that a filter asks for, until standard input ends.

`machine.py` starts this file as a program, in a network namespace of its own; it imports nothing of
Sockwright. The one argument is the folder of a control group, or "". When all sockets are there it
prints a line of JSON: the index of the device "d0", and the ports that the kernel chose.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

SO_BINDTODEVICE, SO_MARK = 25, 36
SIOCSIFFLAGS, IFF_UP, TUNSETIFF, IFF_TAP = 0x8914, 0x1, 0x400454CA, 0x2
V4, V6 = socket.AF_INET, socket.AF_INET6
STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
IPPROTO_SCTP = 132
VMADDR_CID_LOCAL, VMADDR_CID_ANY = 1, 0xFFFF_FFFF
ETH_P_ALL, ETH_P_IP, ETH_P_ARP, ETH_P_IPV6 = 0x0003, 0x0800, 0x0806, 0x86DD

# Ports of each size: the ends of the range, services, what the kernel hands out.
PORTS = (1, 22, 53, 80, 443, 1023, 1024, 8080, 32767, 65534, 65535)
V4_ADDRESSES = ("0.0.0.0", "127.0.0.1", "127.0.0.2", "127.1.2.3")
V6_ADDRESSES = ("::", "::1", "::ffff:127.0.0.1", "::ffff:127.0.0.2", "::ffff:0.0.0.0")

kept: list[socket.socket] = []


def keep(sock: socket.socket) -> socket.socket:
    kept.append(sock)
    return sock


def up(name: str) -> None:
    with socket.socket(V4, DATAGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", name.encode(), IFF_UP))


def make_device() -> int:
    """Make a device beside lo, that lasts as long as this process."""
    try:
        tap = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH14x", b"d0", IFF_TAP))
    except OSError:  # a kernel without tun(4) may have dummies
        subprocess.run(["ip", "link", "add", "d0", "type", "dummy"], check=True)
    up("d0")
    return socket.if_nametoindex("d0")


def bound(
    family: int,
    kind: int,
    address: str,
    port: int,
    *,
    device: str = "",
    mark: int = 0,
) -> socket.socket:
    sock = socket.socket(family, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == V6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address == "::"))
    if device:
        sock.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, device.encode())
    if mark:
        sock.setsockopt(socket.SOL_SOCKET, SO_MARK, struct.pack("=I", mark))
    sock.bind((address, port))
    return sock


def make_inet(group: str) -> list[int]:
    """Make TCP and UDP sockets; return the ports that the kernel chose."""
    for at, port in enumerate(PORTS):
        for family, addresses in ((V4, V4_ADDRESSES), (V6, V6_ADDRESSES)):
            with contextlib.suppress(OSError):  # a mapped address where its own has the port
                keep(bound(family, STREAM, addresses[at % len(addresses)], port)).listen()
            with contextlib.suppress(OSError):
                keep(bound(family, DATAGRAM, addresses[(at + 1) % len(addresses)], port))
    for at, mark in enumerate((0x1, 0x5, 0xFF, 0x1234_0001, 0xFFFF_FFFF)):
        keep(bound(V4, STREAM, "127.0.0.1", 2000 + at, mark=mark)).listen()
        keep(bound(V6, DATAGRAM, "::1", 2000 + at, mark=mark))
    for at, device in enumerate(("lo", "d0")):
        keep(bound(V4, STREAM, "0.0.0.0", 3000 + at, device=device)).listen()
        keep(bound(V6, STREAM, "::", 3000 + at, device=device)).listen()
        keep(bound(V4, DATAGRAM, "0.0.0.0", 3000 + at, device=device))
    keep(socket.socket(V4, DATAGRAM))  # without a port: the kernel lists it not
    chosen: list[int] = []
    for family, address in ((V4, "127.0.0.1"), (V6, "::1"), (V6, "::ffff:127.0.0.2")):
        for port in (0, 4000 + len(chosen)):
            door = keep(bound(family, STREAM, address, port))
            door.listen()
            chosen.append(door.getsockname()[1])
            for state in ("established", "half closed", "time wait"):
                client = socket.create_connection(door.getsockname()[:2])
                server = door.accept()[0]
                if state != "established":
                    client.shutdown(socket.SHUT_WR)
                    server.recv(1)
                if state == "time wait":
                    server.close()
                    client.recv(1)
                    client.close()
                else:
                    keep(client)
                    keep(server)
        peer = keep(bound(family, DATAGRAM, address, 4100 + len(chosen)))
        keep(bound(family, DATAGRAM, address, 0)).connect(peer.getsockname()[:2])
    if group:
        (Path(group) / "cgroup.procs").write_text(str(os.getpid()))
        for port in (5000, 5001):
            keep(bound(V4, STREAM, "127.0.0.1", port)).listen()
            keep(bound(V6, DATAGRAM, "::1", port))
        parent = Path(group).parent / "cgroup.procs"
        parent.write_text(str(os.getpid()))
    return chosen


def make_others() -> None:
    """Make Unix, packet and netlink sockets."""
    names: tuple[str | bytes, ...] = (
        "", "plain", "Upper.SOCK", "with space", "a(b)", "[x]", "back\\slash", "star*",
        b"\0abstract", b"\0Abstract/two", b"\0zero\0inside", b"\0\xff\xfe", "dir/inside", ".hidden",
        "état",
    )  # fmt: skip
    Path("dir").mkdir()
    for name in names:
        for kind in (STREAM, DATAGRAM, socket.SOCK_SEQPACKET)[: 1 + (len(name) % 2)]:
            sock = keep(socket.socket(socket.AF_UNIX, kind))
            with contextlib.suppress(OSError):  # the second of a name
                sock.bind(name)
            if kind == STREAM and name:
                sock.listen()
                keep(socket.socket(socket.AF_UNIX)).connect(sock.getsockname())
    for pair in (socket.socketpair(), socket.socketpair(socket.AF_UNIX, DATAGRAM)):
        for sock in pair:
            keep(sock)
    keep(socket.socket(socket.AF_UNIX))
    for number in (0, ETH_P_ALL, ETH_P_IP, ETH_P_ARP, ETH_P_IPV6, 0x1234):
        kind = socket.SOCK_RAW if number & 1 else DATAGRAM
        keep(socket.socket(socket.AF_PACKET, kind, socket.htons(number)))
        for device in ("lo", "d0"):
            sock = keep(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
            sock.bind((device, number))
    for protocol, port in ((0, 0), (0, 4242), (16, 0), (16, 77), (15, 0), (4, 9), (0, 0), (0, 0)):
        sock = keep(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol))
        sock.bind((port, 0))


def make_rare() -> None:
    """Make SCTP, raw and vsock sockets, where this kernel has them."""
    with contextlib.suppress(OSError):
        for at, (family, address) in enumerate(
            ((V4, "127.0.0.1"), (V4, "0.0.0.0"), (V6, "::1"), (V6, "::"), (V6, "::ffff:127.0.0.2"))
        ):
            door = keep(socket.socket(family, STREAM, IPPROTO_SCTP))
            door.bind((address, (22, 443, 1024, 4000, 8080)[at]))
            door.listen()
            if address not in {"0.0.0.0", "::"}:
                client = keep(socket.socket(family, STREAM, IPPROTO_SCTP))
                client.connect(door.getsockname()[:2])
                keep(door.accept()[0])
    for family, addresses in ((V4, V4_ADDRESSES), (V6, V6_ADDRESSES[:2])):
        for at, address in enumerate(addresses):
            raw = keep(socket.socket(family, socket.SOCK_RAW, (1, 22, 58, 253)[at]))
            raw.bind((address, 0))
            if at == 1:
                raw.connect((address, 0))
                raw.setsockopt(socket.SOL_SOCKET, SO_MARK, 5)
    with contextlib.suppress(OSError):
        for port in (22, 1024, 5000, 0xFFFF_FFF0):
            door = keep(socket.socket(socket.AF_VSOCK, STREAM))
            door.bind((VMADDR_CID_ANY if port & 8 else VMADDR_CID_LOCAL, port))
            door.listen()
        client = keep(socket.socket(socket.AF_VSOCK, STREAM))
        client.connect((VMADDR_CID_LOCAL, 22))


def main() -> None:
    up("lo")
    device = make_device()
    chosen = make_inet(sys.argv[1])
    make_others()
    make_rare()
    told = {"pid": os.getpid(), "device": device, "chosen": chosen}
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
