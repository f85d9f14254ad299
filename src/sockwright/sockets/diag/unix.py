"""Sockets of the Unix domain: the request and the message of unix_diag (linux/unix_diag.h)."""

from __future__ import annotations

import os
import socket
import struct

from sockwright.sockets.diag.row import SHUTDOWNS, SocketRow
from sockwright.sockets.diag.structures.memory import SocketMemory

__all__ = ["UnixSocket", "unix_request"]

# unix_diag_req: family, protocol, pad, states, inode, what to show, cookie.
_REQUEST = struct.Struct("=BBHIII8s")
_NO_COOKIE = b"\xff" * 8
_SHOW_NAME, _SHOW_VFS, _SHOW_PEER, _SHOW_ICONS, _SHOW_RQLEN, _SHOW_MEMINFO, _SHOW_UID = (
    1 << number for number in range(7)
)
_SHOW = _SHOW_NAME | _SHOW_VFS | _SHOW_PEER | _SHOW_ICONS | _SHOW_RQLEN | _SHOW_UID

_NAME, _VFS, _PEER, _ICONS, _RQLEN, _MEMINFO, _SHUTDOWN, _UID = range(8)  # UNIX_DIAG_...

# unix_diag_msg, behind its nlmsghdr of 16 octets: family, type, state, pad; inode, cookie.
_NUMBERS = struct.Struct("=IQ").unpack_from
_AT_TYPE, _AT_STATE, _AT_NUMBERS = 17, 18, 20
_SIZE = 32
_NUMBER = struct.Struct("=I")
_PAIR = struct.Struct("=II")
_DEVICE_MINOR_BITS = 20  # MINORBITS: the kernel's own dev_t, which is not that of stat(2)

_TYPES = {1: "stream", 2: "dgram", 5: "seqpacket"}
_NETIDS = {1: "u_str", 2: "u_dgr", 5: "u_seq"}


def unix_request(states: int, *, inode: int = 0, memory: bool = False) -> bytes:
    """Return the request for the sockets that are in one of `states`, a mask.

    With `inode` it is for that socket alone. `memory` asks for what it takes in the kernel.
    """
    show = _SHOW | _SHOW_MEMINFO if memory else _SHOW
    return _REQUEST.pack(socket.AF_UNIX, 0, 0, states, inode, show, _NO_COOKIE)


class UnixSocket(SocketRow):
    """A socket of the Unix domain (unix(7)), as unix_diag tells of it (linux/unix_diag.h)."""

    __slots__ = ()
    protocol = "unix"
    _fixed = _SIZE
    _inode_at, _cookie_at = 20, 24

    @property
    def netid(self) -> str:
        """The type as ss(8) writes it: "u_str", "u_dgr" or "u_seq"."""
        return _NETIDS.get(self._octets[self._at + _AT_TYPE], "unix")

    @property
    def family(self) -> str:
        """Always "unix"."""
        return "unix"

    @property
    def type(self) -> str:
        """The type: "stream", "dgram" or "seqpacket"."""
        number = self._octets[self._at + _AT_TYPE]
        return _TYPES.get(number) or str(number)

    @property
    def state_number(self) -> int:
        """The state as the kernel numbers it; a datagram socket with a peer is established."""
        return self._octets[self._at + _AT_STATE]

    @property
    def inode(self) -> int:
        """The number of the socket in sockfs."""
        return _NUMBERS(self._octets, self._at + _AT_NUMBERS)[0]  # type: ignore[no-any-return]

    @property
    def cookie(self) -> int:
        """The number that the kernel gives to this socket and no other."""
        return _NUMBERS(self._octets, self._at + _AT_NUMBERS)[1]  # type: ignore[no-any-return]

    @property
    def name(self) -> bytes:
        """The name it is bound to, to the octet: a path, or a zero octet and an abstract name.

        Empty where it has none. An abstract name may hold any octet, zeros at its end too.
        """
        name = self.attributes.get(_NAME, b"")
        return name if name.startswith(b"\0") else name.rstrip(b"\0")

    @property
    def path(self) -> str:
        """The name as text: a path, "@" and an abstract name, or "" for none.

        A zero octet of an abstract name is shown as "@", as /proc/net/unix and ss(8) do; octets
        that are no UTF-8 are surrogates (PEP 383), so that `os.fsencode` gives them back.
        """
        name = self.name
        return os.fsdecode(name.replace(b"\0", b"@") if name.startswith(b"\0") else name)

    @property
    def vfs(self) -> tuple[int, int] | None:
        """Device and inode of the file that it is bound to, as stat(2) tells them; None for none.

        The kernel tells the lower 32 bits of the inode, and of an overlay its own device, where
        stat(2) may name that of a layer.
        """
        value = self.attributes.get(_VFS)
        if value is None:
            return None
        inode, device = _PAIR.unpack_from(value)
        minor = device & ((1 << _DEVICE_MINOR_BITS) - 1)
        return os.makedev(device >> _DEVICE_MINOR_BITS, minor), inode

    @property
    def peer_inode(self) -> int | None:
        """The inode of the socket that it is connected to.

        0 where that socket has none: it waits to be accepted, or was closed. None without a peer.
        """
        value = self.attributes.get(_PEER)
        return None if value is None else int(_NUMBER.unpack_from(value)[0])

    @property
    def waiting(self) -> tuple[int, ...] | None:
        """The inodes of the sockets that wait to be accepted; None where it does not listen.

        An entry is 0 where the one that waits was closed meanwhile. /proc does not tell: None too.
        """
        value = self.attributes.get(_ICONS)
        if value is None:
            return None
        return struct.unpack_from(f"={len(value) // _NUMBER.size}I", value)

    @property
    def receive_queue(self) -> int:
        """Octets received and not yet read (of "dgram" and "seqpacket" those of the first message).

        Of a listener the connections not yet accepted.
        """
        return self._queues()[0]

    @property
    def send_queue(self) -> int:
        """Octets of kernel memory that what was sent and not yet read takes, its overhead included.

        Of a listener the most connections that may wait in its queue.
        """
        return self._queues()[1]

    @property
    def memory(self) -> SocketMemory | None:
        """What it takes in the kernel; None where that was not asked for."""
        value = self.attributes.get(_MEMINFO)
        return None if value is None else SocketMemory(value)

    @property
    def shutdown(self) -> str:
        """Which directions are shut down: "receive", "send", "both" or ""."""
        value = self.attributes.get(_SHUTDOWN, b"\0")
        return SHUTDOWNS[value[0] & 3]

    @property
    def uid(self) -> int | None:
        """The user who made the socket; None before Linux 5.3, which does not say."""
        value = self.attributes.get(_UID)
        return None if value is None else int(_NUMBER.unpack_from(value)[0])

    @property
    def local(self) -> str:
        """Name and inode as ``ss -n`` writes them: "/run/x 1234", "* 1235" where it has no name."""
        return f"{self.path or '*'} {self.inode}"

    @property
    def peer(self) -> str:
        """A "*" and the inode of the peer, 0 for none, as ``ss -n`` writes it."""
        return f"* {self.peer_inode or 0}"

    def as_dict(self) -> dict[str, object]:
        """Return every field that has a value, by its name."""
        found = super().as_dict()
        if self.uid is None:
            found.pop("uid", None)
        found["type"] = self.type
        if self.name:
            found["path"] = self.path
        if self.peer_inode is not None:
            found["peer_inode"] = self.peer_inode
        if self.waiting is not None:
            found["waiting"] = list(self.waiting)
        if self.vfs is not None:
            found["vfs"] = {"device": self.vfs[0], "inode": self.vfs[1]}
        if self.shutdown:
            found["shutdown"] = self.shutdown
        if self.memory is not None:
            found["memory"] = self.memory.as_dict()
        return found

    def _queues(self) -> tuple[int, ...]:
        value = self.attributes.get(_RQLEN)
        return (0, 0) if value is None else _PAIR.unpack_from(value)
