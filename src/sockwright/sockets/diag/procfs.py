"""Sockets as /proc/net tells of them (proc(5)), where the kernel has no sock_diag for a protocol.

Rules: each line becomes a message in the form that sock_diag(7) would have sent, so that there is
one form of rows. What /proc does not tell is left out of the message: attributes are missing,
cookies are 0 (rows with that cookie are all different sockets), and of a listening TCP socket the
length that its queue may have is 0. Every state is told; the caller selects. Addresses stand there
as numbers in the host's order, of IPv6 as four.

The names in /proc/net/unix may hold anything, line ends too, and nothing says how long they are: a
record goes on until the next that looks like one. A name that imitates a whole record, line end and
all, cannot be told from it.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import sys

from sockwright.errors import NotPossibleError
from sockwright.sockets.diag.namespace import open_table
from sockwright.sockets.diag.netlink import BY_FAMILY, HEADER, attribute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sockwright.sockets.diag.tables import Table

__all__ = ["read_proc"]

_NUMBER = struct.Struct("=I").pack
_MEMORY = struct.Struct("=9I")
_UNTOLD = 0xFFFFFFFF  # what `structures.memory` takes for a number that nobody told

# inet_diag_msg (linux/inet_diag.h): family, state, timer, retransmits; ports in network order and
# addresses; interface, cookie, expires, queues, uid, inode.
_INET = struct.Struct("=BBBB")
_PORTS = struct.Struct(">HH")
_INET_NUMBERS = struct.Struct("=IQIIIII")
_RETRANSMIT = 1  # the timer for which the kernel counts retransmits; for others it counts probes
_SKMEMINFO, _SCTP_LOCALS, _SCTP_PEERS = 7, 12, 13  # INET_DIAG_SKMEMINFO, _LOCALS, _PEERS
_SOCKADDR_STORAGE = 128
_CLOSE, _LISTEN, _ESTABLISHED = 7, 10, 1

_UNIX = struct.Struct("=BBBBIQ")  # unix_diag_msg: family, type, state, pad, inode, cookie
_UNIX_NAME = 0
# Num, RefCount, Protocol, Flags, Type, St, Inode and perhaps a name, see above.
_UNIX_RECORD = re.compile(
    rb"^[0-9a-fA-F]{8,16}: [0-9A-F]{8} [0-9A-F]{8} ([0-9A-F]{8}) ([0-9A-F]{4}) ([0-9A-F]{2}) +"
    rb"([0-9]+)(?= |\n)",
    re.MULTILINE,
)
_ACCEPTS = 1 << 16  # __SO_ACCEPTCON in Flags
_CONNECTED = 3  # SS_CONNECTED of linux/net.h in St

_PACKET = struct.Struct("=BBHIQ")  # packet_diag_msg: family, type, EtherType, inode, cookie
_PACKET_INFO, _PACKET_UID, _PACKET_MEMINFO = 0, 5, 6

# netlink_diag_msg: family, type, protocol, state; port, port and group of the peer, inode, cookie.
_NETLINK = struct.Struct("=BBBBIIIIQ")
_NETLINK_MEMINFO, _NETLINK_GROUPS = 0, 1


def read_proc(table: Table, family: str, namespace: int | str | None = None) -> list[bytes]:
    """Return a message for each socket of `table` and `family`, for `table.row` to take.

    Sockets of every state, of the network namespace of the calling thread or of the one that is
    named (see `sockwright.sockets.diag.namespace`).

    Raises:
        NotPossibleError: /proc does not list these sockets, or the namespace belongs to another
            user.
        UsageError: there is no such namespace.
        OSError: /proc cannot be read.
    """
    name = table.name
    if name in _INET_FILES:
        return list(_inet_messages(name, family, _read_inet(namespace, name, family)))
    if name == "sctp":
        endpoints, associations = (_read(namespace, f"sctp/{one}") for one in ("eps", "assocs"))
        return list(_sctp_messages(family, endpoints, associations))
    reader = _READERS.get(name)
    if reader is None:
        raise NotPossibleError(f"/proc lists no {name} sockets")
    return list(reader(_read(namespace, name)))


def _read(namespace: int | str | None, name: str) -> bytes:
    """Return a whole file of /proc/net. Raises: as `read_proc`."""
    try:
        with open_table(namespace, name) as file:
            return file.read()
    except FileNotFoundError:
        raise NotPossibleError(f"/proc has no net/{name}") from None


# --- tcp, udp, udplite, raw ----------------------------------------------------------------------

_INET_FILES = {"tcp", "udp", "udplite", "raw"}


def _read_inet(namespace: int | str | None, name: str, family: str) -> bytes:
    if family == "inet":
        return _read(namespace, name)
    try:
        return _read(namespace, f"{name}6")
    except NotPossibleError:
        _read(namespace, name)  # a kernel without IPv6 has this one; else it raises again
        return b""


def _inet_messages(name: str, family: str, text: bytes) -> Iterator[bytes]:
    number = socket.AF_INET6 if family == "inet6" else socket.AF_INET
    ticks = os.sysconf("SC_CLK_TCK")
    for line in text.splitlines()[1:]:
        # sl, local, remote, st, tx:rx queue, tr:when, retransmits, uid, probes, inode ...
        words = line.split()
        local, local_port = words[1].split(b":")
        peer, peer_port = words[2].split(b":")
        send_queue, receive_queue = words[4].split(b":")
        timer, when = words[5].split(b":")
        kind = int(timer, 16)
        tries = int(words[6], 16) if kind == _RETRANSMIT else int(words[8])
        queues = int(receive_queue, 16), int(send_queue, 16)
        yield _inet_message(
            number,
            int(words[3], 16),
            _ip_address(local) + _ip_address(peer),
            (int(local_port, 16), int(peer_port, 16)),
            queues=queues,
            timer=(kind, min(tries, 255), int(when, 16) * 1000 // ticks if kind else 0),
            uid=int(words[7]),
            inode=int(words[9]),
            # Of UDP the kernel sets memory aside besides, which /proc does not tell.
            attributes=attribute(_SKMEMINFO, _memory(*queues, int(words[12])))
            if name == "raw"
            else b"",
        )


def _inet_message(
    family: int,
    state: int,
    addresses: bytes,
    ports: tuple[int, int],
    *,
    queues: tuple[int, int],
    uid: int,
    inode: int,
    timer: tuple[int, int, int] = (0, 0, 0),
    attributes: bytes = b"",
) -> bytes:
    kind, tries, expires = timer
    return _message(
        _INET.pack(family, state, kind, tries)
        + _PORTS.pack(*ports)
        + addresses
        + _INET_NUMBERS.pack(0, 0, expires, *queues, uid, inode & 0xFFFFFFFF)
        + attributes
    )


def _ip_address(digits: bytes) -> bytes:
    """Return the 16 octets of an inet_diag_sockid for an address in hexadecimal."""
    octets = bytes.fromhex(digits.decode())
    if sys.byteorder == "little":
        octets = b"".join(octets[at : at + 4][::-1] for at in range(0, len(octets), 4))
    return octets.ljust(16, b"\0")


# --- sctp ----------------------------------------------------------------------------------------


def _sctp_messages(family: str, endpoints: bytes, associations: bytes) -> Iterator[bytes]:
    number = socket.AF_INET6 if family == "inet6" else socket.AF_INET
    for line in endpoints.splitlines()[1:]:
        # ENDPT, SOCK, STY, SST, HBKT, LPORT, UID, INODE, LADDRS
        words = line.split()
        no_peers: list[bytes] = []
        addresses = words[8:], no_peers
        if _sctp_family(*addresses) == number:
            yield _sctp_message(
                number,
                int(words[3]),
                addresses,
                ports=(int(words[5]), 0),
                queues=(0, 0),
                uid=int(words[6]),
                inode=int(words[7]),
            )
    for line in associations.splitlines()[1:]:
        # ASSOC, SOCK, STY, SST, ST, HBKT, ASSOC-ID, TX_QUEUE, RX_QUEUE, UID, INODE, LPORT, RPORT,
        # LADDRS, <->, RADDRS, then a tab and numbers
        words = line.partition(b"\t")[0].split()
        middle = words.index(b"<->")
        addresses = words[13:middle], words[middle + 1 :]
        if _sctp_family(*addresses) == number:
            yield _sctp_message(
                number,
                int(words[4]),
                addresses,
                ports=(int(words[11]), int(words[12])),
                queues=(int(words[8]), int(words[7])),
                uid=int(words[9]),
                inode=int(words[10]),
            )


def _sctp_family(*addresses: list[bytes]) -> int:
    """Return the family of a socket with these addresses, which /proc does not tell.

    A socket of IPv6 may have addresses of both.
    """
    six = any(b":" in word for words in addresses for word in words)
    return socket.AF_INET6 if six else socket.AF_INET


def _sctp_message(
    family: int,
    state: int,
    addresses: tuple[list[bytes], list[bytes]],
    *,
    ports: tuple[int, int],
    queues: tuple[int, int],
    uid: int,
    inode: int,
) -> bytes:
    """Return the message of an endpoint or association; `addresses` are its own and its peer's."""
    chosen = attributes = b""
    for kind, words, port in zip((_SCTP_LOCALS, _SCTP_PEERS), addresses, ports, strict=True):
        # A star stands before the primary one, which is the one to show.
        starred = [_text_address(word) for word in sorted(words, key=_is_not_primary)]
        chosen += next((octets for its, octets in starred if its == family), b"").ljust(16, b"\0")
        if words:
            told = (_sockaddr(*_text_address(word), port) for word in words)
            attributes += attribute(kind, b"".join(told))
    return _inet_message(
        family, state, chosen, ports, queues=queues, uid=uid, inode=inode, attributes=attributes
    )


def _is_not_primary(word: bytes) -> bool:
    return not word.startswith(b"*")


def _text_address(word: bytes) -> tuple[int, bytes]:
    """Return family and octets of an address."""
    text = word.lstrip(b"*").decode()
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    return family, socket.inet_pton(family, text)


def _sockaddr(family: int, address: bytes, port: int) -> bytes:
    """Return a sockaddr_storage."""
    head = struct.pack("=H", family) + struct.pack(">H", port)
    flow = bytes(4) if family == socket.AF_INET6 else b""
    return (head + flow + address).ljust(_SOCKADDR_STORAGE, b"\0")


# --- unix, packet, netlink -----------------------------------------------------------------------


def _unix_messages(text: bytes) -> Iterator[bytes]:
    records = list(_UNIX_RECORD.finditer(text))
    ends = [record.start() - 1 for record in records[1:]]
    ends.append(len(text) - 1)
    for record, end in zip(records, ends, strict=True):
        flags, kind, state = (int(word, 16) for word in record.groups()[:3])
        inode = int(record[4])
        if inode == 0:
            continue  # waits to be accepted: unix_diag leaves these out as well
        unconnected = _LISTEN if flags & _ACCEPTS else _CLOSE
        number = _ESTABLISHED if state == _CONNECTED else unconnected
        name = text[record.end() + 1 : end]
        if name.startswith(b"@"):
            name = b"\0" + name[1:]
        yield _message(
            _UNIX.pack(socket.AF_UNIX, kind & 0xFF, number, 0, inode & 0xFFFFFFFF, 0)
            + (attribute(_UNIX_NAME, name) if name else b"")
        )


def _packet_messages(text: bytes) -> Iterator[bytes]:
    for line in text.splitlines()[1:]:
        # sk, RefCnt, Type, Proto, Iface, R, Rmem, User, Inode
        words = line.split()
        yield _message(
            _PACKET.pack(
                socket.AF_PACKET, int(words[2]), int(words[3], 16), int(words[8]) & 0xFFFFFFFF, 0
            )
            + attribute(_PACKET_INFO, _NUMBER(int(words[4])))
            + attribute(_PACKET_UID, _NUMBER(int(words[7])))
            + attribute(_PACKET_MEMINFO, _memory(int(words[6]), 0, _UNTOLD))
        )


def _netlink_messages(text: bytes) -> Iterator[bytes]:
    for line in text.splitlines()[1:]:
        # sk, Eth, Pid, Groups, Rmem, Wmem, Dump, Locks, Drops, Inode
        words = line.split()
        yield _message(
            _NETLINK.pack(
                socket.AF_NETLINK,
                socket.SOCK_RAW,  # which of the two types it is, nobody can tell
                int(words[1]),
                0,
                int(words[2]) & 0xFFFFFFFF,
                0,
                0,
                int(words[9]) & 0xFFFFFFFF,
                0,
            )
            + attribute(_NETLINK_GROUPS, _NUMBER(int(words[3], 16)))
            + attribute(_NETLINK_MEMINFO, _memory(int(words[4]), int(words[5]), int(words[8])))
        )


_READERS: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "unix": _unix_messages,
    "packet": _packet_messages,
    "netlink": _netlink_messages,
}


def _memory(receiving: int, sending: int, drops: int) -> bytes:
    """Return the array SK_MEMINFO_* (linux/sock_diag.h) of a socket that is not charged ahead."""
    return _MEMORY.pack(receiving, _UNTOLD, sending, _UNTOLD, 0, 0, _UNTOLD, _UNTOLD, drops)


def _message(body: bytes) -> bytes:
    return HEADER.pack(HEADER.size + len(body), BY_FAMILY, 0, 0, 0) + body
