"""Messages with descriptors between a lab and its keeper, over one stream socket.

A message is a length of four octets in network order and JSON of that length; the descriptors
travel with the length, unix(7) SCM_RIGHTS. JSON rather than pickle: what arrives at the keeper,
which may be root, is only ever data.
"""

from __future__ import annotations

import array
import json
import socket
import struct
from typing import Any

__all__ = ["ENDED", "receive", "send"]

_LENGTH = struct.Struct("!I")
_MAX_DESCRIPTORS = 64

#: What `receive` returns when the other side has closed the channel.
ENDED: dict[str, Any] = {}


def send(sock: socket.socket, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
    """Send one message. The descriptors are copied, the caller's stay open.

    Raises: `OSError` (a broken pipe when the other side is gone).
    """
    octets = json.dumps(message).encode()
    length = _LENGTH.pack(len(octets))
    if descriptors:
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
        sent = sock.sendmsg([length], [rights])
        sock.sendall(length[sent:] + octets)
    else:
        sock.sendall(length + octets)


def receive(sock: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Wait for one message: the message, and its descriptors, which are the caller's to close.

    Returns `ENDED` when the other side has closed. Raises: `OSError`.
    """
    descriptors = array.array("i")
    space = socket.CMSG_SPACE(_MAX_DESCRIPTORS * descriptors.itemsize)
    try:
        head, ancillary, _, _ = sock.recvmsg(_LENGTH.size, space, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:  # ended with something of ours unread
        return ENDED, []
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    if not head:
        return ENDED, []
    head += _exactly(sock, _LENGTH.size - len(head))
    octets = _exactly(sock, _LENGTH.unpack(head)[0])
    return json.loads(octets), list(descriptors)


def _exactly(sock: socket.socket, count: int) -> bytes:
    octets = bytearray()
    while len(octets) < count:
        piece = sock.recv(count - len(octets))
        if not piece:
            raise EOFError("the keeper of the lab ended in the middle of a message")
        octets += piece
    return bytes(octets)
