"""Options of a socket that inet_diag tells: flags, the layer above TCP, its control group."""

from __future__ import annotations

import sys

from sockwright.sockets.diag.netlink import attributes
from sockwright.sockets.diag.structures.structure import Bit, Structure
from sockwright.sockets.diag.value import Value

__all__ = ["ULP", "MPTCPSubflow", "SocketOptions", "TLSOffload"]

_NAME, _TLS, _MPTCP = 1, 2, 3  # INET_ULP_INFO_*

_SUBFLOW_FLAGS = (
    "capable_remote", "capable_local", "join_remote", "join_local", "backup_remote",
    "backup_local", "fully_established", "connected", "mapping_valid",
)  # fmt: skip
_TLS_VERSIONS = {0x0303: "1.2", 0x0304: "1.3"}
_TLS_CIPHERS = {
    51: "aes-gcm-128",
    52: "aes-gcm-256",
    53: "aes-ccm-128",
    54: "chacha20-poly1305",
    55: "sm4-gcm",
    56: "sm4-ccm",
    57: "aria-gcm-128",
    58: "aria-gcm-256",
}
_TLS_WHERE = ("", "none", "sw", "hw", "hw-record")


class SocketOptions(Structure):
    """Options that are on or off (struct inet_diag_sockopt), see ip(7) and tcp(7)."""

    __slots__ = ()

    recverr = Bit("u8", 0, "IP_RECVERR: errors come with details")
    is_icsk = Bit("u8", 1, "It makes connections; what TCP and MPTCP do")
    freebind = Bit("u8", 2, "IP_FREEBIND: it may be bound to an address that is not there")
    hdrincl = Bit("u8", 3, "IP_HDRINCL: the program writes the IP header")
    mc_loop = Bit("u8", 4, "IP_MULTICAST_LOOP: this machine hears what it sends to groups")
    transparent = Bit("u8", 5, "IP_TRANSPARENT: it may have any address, for proxies")
    mc_all = Bit("u8", 6, "IP_MULTICAST_ALL: it hears every group that this machine has joined")
    nodefrag = Bit("u8", 7, "IP_NODEFRAG: fragments are not put together")
    bind_address_no_port = Bit("u8", 0, "IP_BIND_ADDRESS_NO_PORT: the port is chosen late")
    recverr_rfc4884 = Bit("u8", 1, "IP_RECVERR_RFC4884: so are extensions of ICMP")
    defer_connect = Bit("u8", 2, "TCP_FASTOPEN_CONNECT: the SYN waits for data")


class MPTCPSubflow(Value):
    """The part of a TCP connection in a Multipath TCP connection (MPTCP_SUBFLOW_ATTR_*).

    Fields that the kernel left out are 0.
    """

    __slots__ = ("_told", "octets")

    def __init__(self, octets: bytes) -> None:
        self.octets = octets
        self._told = attributes(octets, 0, len(octets))

    def _number(self, kind: int) -> int:
        return int.from_bytes(self._told.get(kind, b""), sys.byteorder)

    @property
    def token_remote(self) -> int:
        """The token of the connection at the peer."""
        return self._number(1)

    @property
    def token_local(self) -> int:
        """The token of the connection here: that of its row in the table "mptcp"."""
        return self._number(2)

    @property
    def relative_write_sequence(self) -> int:
        """The next octet to be sent on this subflow, from its start."""
        return self._number(3)

    @property
    def map_sequence(self) -> int:
        """The sequence number of the connection where the last mapping starts."""
        return self._number(4)

    @property
    def map_subflow_sequence(self) -> int:
        """The sequence number of the subflow where the last mapping starts."""
        return self._number(5)

    @property
    def ssn_offset(self) -> int:
        """What makes sequence numbers of the subflow of those of TCP."""
        return self._number(6)

    @property
    def map_data_length(self) -> int:
        """The octets of the last mapping."""
        return self._number(7)

    @property
    def flags(self) -> tuple[str, ...]:
        """What holds of it, such as "join_local" or "backup_remote"."""
        number = self._number(8)
        return tuple(name for bit, name in enumerate(_SUBFLOW_FLAGS) if number >> bit & 1)

    @property
    def id_remote(self) -> int:
        """The peer's number for its address."""
        return self._number(9)

    @property
    def id_local(self) -> int:
        """The number of the own address."""
        return self._number(10)

    def as_dict(self) -> dict[str, object]:
        """Return every field."""
        names = (
            "token_remote", "token_local", "relative_write_sequence", "map_sequence",
            "map_subflow_sequence", "ssn_offset", "map_data_length", "flags", "id_remote",
            "id_local",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names} | {"flags": list(self.flags)}

    def __repr__(self) -> str:
        return f"<MPTCPSubflow {self.token_local:08x} {' '.join(self.flags)}>"


class TLSOffload(Value):
    """TLS records made by the kernel (TLS_INFO_* of linux/tls.h)."""

    __slots__ = ("_told", "octets")

    def __init__(self, octets: bytes) -> None:
        self.octets = octets
        self._told = attributes(octets, 0, len(octets))

    def _number(self, kind: int) -> int:
        return int.from_bytes(self._told.get(kind, b""), sys.byteorder)

    @property
    def version(self) -> str:
        """The version: "1.2" or "1.3"."""
        number = self._number(1)
        return _TLS_VERSIONS.get(number) or hex(number)

    @property
    def cipher(self) -> str:
        """The cipher, such as "aes-gcm-128"; empty where none was set."""
        number = self._number(2)
        return _TLS_CIPHERS.get(number) or (str(number) if number else "")

    @property
    def sending(self) -> str:
        """Who encrypts: "none", "sw" (the kernel), "hw" (the interface) or "hw-record"."""
        return _where(self._number(3))

    @property
    def receiving(self) -> str:
        """Who decrypts, as in `sending`."""
        return _where(self._number(4))

    @property
    def zero_copy_send(self) -> bool:
        """Files are sent from where they are, not from a copy."""
        return 5 in self._told

    @property
    def no_padding(self) -> bool:
        """The peer is taken not to pad its records."""
        return 6 in self._told

    def as_dict(self) -> dict[str, object]:
        """Return every field."""
        names = ("version", "cipher", "sending", "receiving", "zero_copy_send", "no_padding")
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        return f"<TLSOffload {self.version} {self.cipher}>"


class ULP(Value):
    """The layer above TCP in the kernel (TCP_ULP): "mptcp", "tls", "espintcp", "smc"."""

    __slots__ = ("_told", "octets")

    def __init__(self, octets: bytes) -> None:
        self.octets = octets
        self._told = attributes(octets, 0, len(octets))

    @property
    def name(self) -> str:
        """Its name."""
        return self._told.get(_NAME, b"").rstrip(b"\0").decode("ascii", "backslashreplace")

    @property
    def mptcp(self) -> MPTCPSubflow | None:
        """What Multipath TCP tells of this subflow; None for a listener, and for another layer."""
        told = self._told.get(_MPTCP)
        return MPTCPSubflow(told) if told else None

    @property
    def tls(self) -> TLSOffload | None:
        """What TLS tells; None for another layer."""
        told = self._told.get(_TLS)
        return TLSOffload(told) if told else None

    def as_dict(self) -> dict[str, object]:
        """Return every field that has a value."""
        found: dict[str, object] = {"name": self.name}
        for name in ("mptcp", "tls"):
            value: MPTCPSubflow | TLSOffload | None = getattr(self, name)
            if value is not None:
                found[name] = value.as_dict()
        return found

    def __repr__(self) -> str:
        return f"<ULP {self.name}>"


def _where(number: int) -> str:
    return _TLS_WHERE[number] if number < len(_TLS_WHERE) else str(number)
