"""Find out by trying which namespaces this user may make; run as a process of its own.

    python -I -S namespace_probe.py     ->  {"network": null, "user": ["user namespace", 1], ...}

Each try happens in a forked child, so nothing is left behind: a namespace ends with its last
process. null means that it worked, else it is the step that the kernel refused, by the name that
`sockwright.lab.refusal` has for it, and the errno. Standard library only, so that the interpreter
starts in a few milliseconds.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import struct
import sys
from fcntl import ioctl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_CLONE_NEWNET = 0x40000000
_CLONE_NEWUSER = 0x10000000
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x1001
_NLM_REQUEST_ACK_CREATE = 0x1 | 0x4 | 0x400
_RTM_NEWLINK = 16
_NETLINK_ROUTE = 0


def unshare(flags: int) -> None:
    """Move this process into namespaces of its own (os.unshare comes with Python 3.12)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def network_namespace() -> None:
    """Make a network namespace as the user that this is."""
    unshare(_CLONE_NEWNET)


def user_namespace() -> None:
    """Make a user namespace in which this user is root."""
    uid, gid = os.geteuid(), os.getegid()
    unshare(_CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)


def loopback_interface() -> None:
    """Set the loopback up: takes CAP_NET_ADMIN in the network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH22x", b"lo", 0)
        flags = struct.unpack("16xH22x", ioctl(sock, _SIOCGIFFLAGS, request))[0]
        ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | _IFF_UP))


def veth_pair() -> None:
    """Make a pair of virtual Ethernet interfaces, joined like two ends of a cable."""
    _new_interface(b"probe0\0", b"veth\0")


def bridge() -> None:
    """Make an Ethernet bridge, the segment of a lab."""
    _new_interface(b"probe1\0", b"bridge\0")


def _new_interface(name: bytes, kind: bytes) -> None:
    info = _attribute(1, kind)  # IFLA_INFO_KIND
    body = bytes(16) + _attribute(3, name) + _attribute(18, info)  # IFLA_IFNAME, IFLA_LINKINFO
    netlink(_NETLINK_ROUTE, _RTM_NEWLINK, _NLM_REQUEST_ACK_CREATE, body)


def tun() -> None:
    """Make a TUN device, which ends with its descriptor."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR)
    try:
        ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", b"swprobe%d", _IFF_TUN_NO_PI))
    finally:
        os.close(descriptor)


def netlink(protocol: int, message: int, flags: int, body: bytes) -> bytes:
    """Send one netlink request and give the kernel's answer.

    Raises:
        OSError: the answer is an error.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as sock:
        sock.settimeout(1)
        sock.sendto(struct.pack("=IHHII", 16 + len(body), message, flags, 1, 0) + body, (0, 0))
        answer = sock.recv(65536)
    if struct.unpack_from("=H", answer, 4)[0] == 2:  # NLMSG_ERROR, 0 is an acknowledgement
        number = -struct.unpack_from("=i", answer, 16)[0]
        if number:
            raise OSError(number, os.strerror(number))
    return answer


def _attribute(kind: int, octets: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(octets), kind) + octets + bytes(-len(octets) % 4)


def attempt(*steps: Callable[[], None]) -> tuple[str, int] | None:
    """Do `steps` in a forked child; give None, or the step that was refused and the errno."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = b""
        for step in steps:
            try:
                step()
            except OSError as error:
                said = f"{step.__name__.replace('_', ' ')}\0{error.errno or 0}".encode()
                break
        os.write(writing, said)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read().decode()
    os.waitpid(child, 0)
    if not text:
        return None
    step_name, _, number = text.partition("\0")
    return step_name, int(number)


def probe() -> dict[str, tuple[str, int] | None]:
    """Try everything; the keys are "network", "user", "lab" (as root without user namespace)."""
    inside = (network_namespace, loopback_interface, veth_pair, bridge)
    as_user = attempt(user_namespace, *inside)
    as_root = attempt(*inside)
    return {
        "user": attempt(user_namespace),
        "network": attempt(network_namespace),
        "lab": None if as_root is None else as_user,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(probe()))
