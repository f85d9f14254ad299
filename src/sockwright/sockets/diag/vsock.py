"""Sockets of AF_VSOCK, between a virtual machine and its host (linux/vm_sockets_diag.h)."""

from __future__ import annotations

import struct

from sockwright.sockets.diag.row import SHUTDOWNS, SocketRow

__all__ = ["VSockSocket", "vsock_request"]

_AF_VSOCK = 40
_REQUEST = struct.Struct("=BBHIII8s")  # vsock_diag_req: family, 0, 0, states, 0, 0, cookie

# vsock_diag_msg, behind its nlmsghdr of 16 octets: family, type, state, shutdown; then the context
# ids and ports of both sides, inode, cookie.
_NUMBERS = struct.Struct("=IIIIIQ").unpack_from
_AT_TYPE, _AT_STATE, _AT_SHUTDOWN, _AT_NUMBERS = 17, 18, 19, 20
_SIZE = 48

_ANY = 0xFFFFFFFF  # VMADDR_CID_ANY, VMADDR_PORT_ANY
_TYPES = {1: "stream", 2: "dgram", 5: "seqpacket"}
_NETIDS = {1: "v_str", 2: "v_dgr", 5: "v_seq"}


def vsock_request(states: int) -> bytes:
    """Return the request for the sockets that are in one of `states`, a mask."""
    return _REQUEST.pack(_AF_VSOCK, 0, 0, states, 0, 0, b"\xff" * 8)


class VSockSocket(SocketRow):
    """A socket of AF_VSOCK (vsock(7)), as vsock_diag tells of it (linux/vm_sockets_diag.h).

    The kernel tells neither its queues nor its user: the queues are 0, `uid` is None.
    """

    __slots__ = ()
    protocol = "vsock"
    _fixed = _SIZE
    _inode_at, _cookie_at = 36, 40

    @property
    def netid(self) -> str:
        """The type as ss(8) writes it: "v_str" or "v_dgr"; "v_seq" for the newer third."""
        return _NETIDS.get(self._octets[self._at + _AT_TYPE], "vsock")

    @property
    def family(self) -> str:
        """Always "vsock"."""
        return "vsock"

    @property
    def type(self) -> str:
        """The type: "stream", "dgram" or "seqpacket"."""
        number = self._octets[self._at + _AT_TYPE]
        return _TYPES.get(number) or str(number)

    @property
    def state_number(self) -> int:
        """The state as the kernel numbers it; AF_VSOCK borrows those of TCP."""
        return self._octets[self._at + _AT_STATE]

    @property
    def shutdown(self) -> str:
        """Which directions are shut down: "receive", "send", "both" or ""."""
        return SHUTDOWNS[self._octets[self._at + _AT_SHUTDOWN] & 3]

    @property
    def local_cid(self) -> int | None:
        """The own context id: 0 hypervisor, 1 local, 2 host, above that a guest; None for any."""
        return self._number(0)

    @property
    def local_port(self) -> int | None:
        """The own port, of 32 bits; None where it has none yet."""
        return self._number(1)

    @property
    def peer_cid(self) -> int | None:
        """The context id of the peer; None where there is none."""
        return self._number(2)

    @property
    def peer_port(self) -> int | None:
        """The port of the peer; None where there is none."""
        return self._number(3)

    @property
    def inode(self) -> int:
        """The number of the socket in sockfs; 0 where no descriptor refers to it any more."""
        return _NUMBERS(self._octets, self._at + _AT_NUMBERS)[4]  # type: ignore[no-any-return]

    @property
    def cookie(self) -> int:
        """The number that the kernel gives to this socket and no other."""
        return _NUMBERS(self._octets, self._at + _AT_NUMBERS)[5]  # type: ignore[no-any-return]

    @property
    def receive_queue(self) -> int:
        """0: vsock_diag does not tell it."""
        return 0

    @property
    def send_queue(self) -> int:
        """0: vsock_diag does not tell it."""
        return 0

    @property
    def uid(self) -> None:
        """None: vsock_diag does not tell it."""
        return

    @property
    def local(self) -> str:
        """Context id and port as ``ss -n`` writes them, "*" for any: "3:1024", "*:1024"."""
        return _endpoint(self.local_cid, self.local_port)

    @property
    def peer(self) -> str:
        """Context id and port of the peer, as ``ss -n`` writes them."""
        return _endpoint(self.peer_cid, self.peer_port)

    def as_dict(self) -> dict[str, object]:
        """Return every field that has a value, by its name."""
        found = super().as_dict()
        found.pop("uid", None)
        found["type"] = self.type
        for name in ("local_cid", "local_port", "peer_cid", "peer_port"):
            value = getattr(self, name)
            if value is not None:
                found[name] = value
        if self.shutdown:
            found["shutdown"] = self.shutdown
        return found

    def _number(self, index: int) -> int | None:
        number: int = _NUMBERS(self._octets, self._at + _AT_NUMBERS)[index]
        return None if number == _ANY else number


def _endpoint(cid: int | None, port: int | None) -> str:
    return f"{'*' if cid is None else cid}:{'*' if port is None else port}"
