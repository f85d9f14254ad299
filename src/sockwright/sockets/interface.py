"""Names and numbers of interfaces, after netdevice(7), in the network namespace of a socket.

`socket.if_nametoindex` asks the namespace of the calling thread. A socket keeps the namespace in
which it was opened, and the lab hands sockets over from other namespaces, so the socket is asked.
"""

from __future__ import annotations

import errno
import os
import struct
from fcntl import ioctl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

__all__ = ["interface_index", "interface_name"]

_SIOCGIFNAME = 0x8910
_SIOCGIFINDEX = 0x8933
_IFREQ = struct.Struct("16si20x")


def interface_index(sock: socket.socket, name: str) -> int:
    """Give the number of interface `name` (a decimal number is taken as it is).

    Raises:
        OSError: ENODEV, there is no such interface.
    """
    if name.isascii() and name.isdecimal():
        return int(name)
    try:
        answer = ioctl(sock.fileno(), _SIOCGIFINDEX, _IFREQ.pack(os.fsencode(name), 0))
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise
        text = f"no interface {name!r} in this network namespace ('ip link' shows them)"
        raise OSError(errno.ENODEV, text) from error
    return int(_IFREQ.unpack(answer)[1])


def interface_name(sock: socket.socket, index: int) -> str:
    """Give the name of interface `index`, or the number as text when it is gone."""
    try:
        answer = ioctl(sock.fileno(), _SIOCGIFNAME, _IFREQ.pack(b"", index))
    except OSError:
        return str(index)
    return os.fsdecode(_IFREQ.unpack(answer)[0].rstrip(b"\0"))
