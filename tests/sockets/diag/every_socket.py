"""Be a machine with sockets of every kind, until standard input ends.

`population.py` starts this file as a program, in a network namespace of its own; it imports nothing
of Sockwright. When all sockets are there it prints one line of JSON: which process has which socket
(name -> [pid, descriptor, inode]), what this kernel refused (name -> reason), and the other
processes (name -> pid).

No segment is forged and no firewall is asked for: a socket that shall not answer gets a socket
filter that drops all that arrives for it. So each state of TCP stands still:

- SYN-SENT: the listener is deaf. SYN-RECV: the one who connects is.
- FIN-WAIT-1, LAST-ACK, data without ACK: the peer is deaf.
- CLOSING: both are deaf when they close; then one hears again, and the other's FIN comes once more.

What the kernel would give up soon is told to go on; only TIME-WAIT and orphans end after a minute.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import socket
import struct
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOBODY = 65534
NASTY_NAME = b"x\"),(\x1b[31m \xff'%"
"""The name of a process: prctl(2) takes any 15 octets."""

# include/uapi/asm-generic/socket.h, linux/tcp.h, linux/in.h, linux/netlink.h, linux/if_packet.h,
# linux/sctp.h: what this Python or another may lack.
SO_ATTACH_FILTER, SO_DETACH_FILTER, SO_MARK, SO_PRIORITY = 26, 27, 36, 12
TCP_SYNCNT = 7
FIN_WAIT_2, LAST_ACK = 5, 9
IPPROTO_UDPLITE, IPPROTO_MPTCP, IPPROTO_SCTP = 136, 262, 132
SOL_PACKET, PACKET_RX_RING, PACKET_FANOUT = 263, 5, 18
SCTP_BINDX_ADD = 100
PR_SET_DUMPABLE, PR_SET_NAME = 4, 15
ETH_P_ALL, ETH_P_IP, ETH_P_ARP = 0x0003, 0x0800, 0x0806
RTM_GETLINK, NLM_F_REQUEST_DUMP = 18, 0x301
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
VSOCK_LOCAL = 1

_DROP_ALL = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0))  # BPF: ret #0
_LONG_S = 10.0

V4, V6 = socket.AF_INET, socket.AF_INET6
STREAM, DATAGRAM, SEQPACKET = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET


class Machine:
    """The sockets that were made, by name; what was refused; the other processes."""

    def __init__(self) -> None:
        self.sockets: dict[str, tuple[int, int, int]] = {}
        self.refused: dict[str, str] = {}
        self.processes: dict[str, int] = {"main": os.getpid()}
        self.kept: dict[str, socket.socket] = {}

    def keep(self, name: str, sock: socket.socket) -> socket.socket:
        """Hold the socket until the end, under this name."""
        self.kept[name] = sock
        self.sockets[name] = (os.getpid(), sock.fileno(), os.fstat(sock.fileno()).st_ino)
        return sock

    @contextlib.contextmanager
    def allowed_to_refuse(self, name: str) -> Iterator[None]:
        """Note an OSError as the kernel's refusal of sockets of this kind."""
        try:
            yield
        except OSError as error:
            self.refused[name] = error.strerror or str(error)


def deafen(sock: socket.socket) -> socket.socket:
    """Have the kernel drop all that arrives for this socket from now on."""
    program = struct.pack("HP", 1, ctypes.addressof(_DROP_ALL))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
    return sock


def undeafen(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)


def listen(
    family: int, address: str, backlog: int = 16, protocol: int = 0, kind: int = STREAM
) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    sock.bind((address, 0))
    sock.listen(backlog)
    return sock


def connect(listener: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Return both ends of a new connection: who connected, who accepted."""
    client = socket.socket(listener.family, listener.type, listener.proto)
    client.connect(listener.getsockname()[:2])
    return client, listener.accept()[0]


def begin_to_connect(client: socket.socket, listener: socket.socket) -> None:
    client.setsockopt(socket.IPPROTO_TCP, TCP_SYNCNT, 127)
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        client.connect(listener.getsockname()[:2])


def fill(sock: socket.socket) -> None:
    """Send until the kernel takes no more."""
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            sock.send(bytes(4096))


# --- TCP ----------------------------------------------------------------------------------------


class TCPSockets:
    """TCP sockets of one address family; most of them are connected to one listener, `door`."""

    def __init__(self, machine: Machine, family: int, address: str, word: str) -> None:
        self.machine, self.family, self.address, self.word = machine, family, address, word
        self.door = self.listen("listen")

    def keep(self, name: str, sock: socket.socket) -> socket.socket:
        return self.machine.keep(f"{self.word} {name}", sock)

    def open(self, name: str) -> socket.socket:
        return self.keep(name, socket.socket(self.family))

    def listen(self, name: str, backlog: int = 16) -> socket.socket:
        return self.keep(name, listen(self.family, self.address, backlog))

    def both(self, name: str, peer: str = "") -> tuple[socket.socket, socket.socket]:
        """Connect, and keep both ends."""
        client, server = connect(self.door)
        return self.keep(name, client), self.keep(peer or f"{name}, peer", server)

    def make_unconnected(self) -> None:
        """LISTEN, SYN-SENT, SYN-RECV, a bound socket and one without a port."""
        busy = self.listen("listen, 3 of 5 places taken", 5)
        for number in range(3):
            self.open(f"established, not accepted {number}").connect(busy.getsockname()[:2])
        self.open("bound").bind((self.address, 0))
        self.open("closed")  # the kernel lists none of these
        deaf = deafen(self.listen("listen, deaf"))
        begin_to_connect(self.open("syn-sent"), deaf)
        begin_to_connect(deafen(self.open("syn-sent, deaf")), self.door)  # there: SYN-RECV

    def make_connected(self) -> None:
        """ESTAB, with data and timers of every kind."""
        self.both("established")
        client, server = self.both("established, unread")
        client.send(bytes(1000))
        server.recv(1, socket.MSG_PEEK)
        client, server = self.both("established, unacknowledged")
        deafen(server)
        client.send(bytes(500))
        client, _ = self.both("established, keepalive")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        narrow = self.listen("listen, narrow")
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # the accepted inherit it
        client, server = connect(narrow)
        self.keep("established, full", server)
        fill(self.keep("established, zero window", client))
        client, _ = self.both("established, options")
        client.setsockopt(socket.SOL_SOCKET, SO_PRIORITY, 3)
        client.setsockopt(socket.SOL_SOCKET, SO_MARK, 0x1234)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        if self.family == V4:
            client.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x10)
        else:
            client.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 0x20)

    def make_ending(self) -> None:
        """FIN-WAIT-1 and -2, CLOSE-WAIT, LAST-ACK, CLOSING, TIME-WAIT."""
        client, server = self.both("fin-wait-1")
        deafen(server)
        client.shutdown(socket.SHUT_WR)
        client, server = self.both("fin-wait-2", "close-wait")
        client.shutdown(socket.SHUT_WR)
        server.recv(1)
        client, server = self.both("last-ack, peer", "last-ack")
        client.shutdown(socket.SHUT_WR)
        server.recv(1)
        deafen(client)
        server.shutdown(socket.SHUT_WR)
        client, server = self.both("closing")
        for end in (deafen(client), deafen(server)):
            end.shutdown(socket.SHUT_WR)
        undeafen(client)
        client, server = connect(self.door)  # TIME-WAIT, of nobody
        client.close()
        server.recv(1)
        server.close()
        client, server = connect(self.door)  # FIN-WAIT-1, of nobody
        self.keep("peer of an orphan", deafen(server))
        client.close()

    def settle(self) -> None:
        """Wait for the states that come by the exchange of segments."""
        for name, number in (("fin-wait-2", FIN_WAIT_2), ("last-ack", LAST_ACK)):
            sock = self.machine.kept[f"{self.word} {name}"]
            deadline = time.monotonic() + _LONG_S
            while sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != number:
                assert time.monotonic() < deadline, name
                time.sleep(0.001)  # nothing tells of it
        self.machine.kept[f"{self.word} closing"].recv(1)  # until the FIN of its peer is here


def make_tcp(machine: Machine) -> list[TCPSockets]:
    made = [TCPSockets(machine, V4, "127.0.0.1", "tcp4"), TCPSockets(machine, V6, "::1", "tcp6")]
    for sockets in made:
        sockets.make_ending()
        sockets.make_unconnected()
        sockets.make_connected()
    return made


def make_mapped_tcp(machine: Machine) -> None:
    """Make IPv6 sockets that speak IPv4 or shall not, and listeners on every address."""
    dual = socket.socket(V6)
    dual.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    dual.bind(("::", 0))
    dual.listen(7)
    machine.keep("tcp6 listen, dual", dual)
    port = dual.getsockname()[1]
    client = machine.keep("tcp4 to dual", socket.socket(V4))
    client.connect(("127.0.0.1", port))
    machine.keep("tcp6 mapped", dual.accept()[0])
    client = machine.keep("tcp6 mapped, client", socket.socket(V6))
    client.connect(("::ffff:127.0.0.1", port))
    machine.keep("tcp6 mapped, server", dual.accept()[0])
    only = machine.keep("tcp6 listen, v6only", socket.socket(V6))
    only.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    only.bind(("::", 0))
    only.listen(0)
    machine.keep("tcp4 listen, any", listen(V4, "0.0.0.0", 4096))
    bound = machine.keep("tcp4 listen, device", socket.socket(V4))
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    bound.bind(("127.0.0.1", 8080))
    bound.listen(1)
    for number in range(2):
        sock = machine.keep(f"tcp4 listen, reuseport {number}", socket.socket(V4))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("127.0.0.7", 443))
        sock.listen(128)


def make_mptcp(machine: Machine) -> None:
    for family, address, word in ((V4, "127.0.0.1", "mptcp4"), (V6, "::1", "mptcp6")):
        with machine.allowed_to_refuse(word):
            door = machine.keep(
                f"{word} listen", listen(family, address, 3, protocol=IPPROTO_MPTCP)
            )
            client, server = connect(door)
            machine.keep(f"{word} established", client)
            machine.keep(f"{word} established, peer", server)
            client.send(bytes(77))
            server.recv(1, socket.MSG_PEEK)
            plain = machine.keep(f"{word} to plain TCP", socket.socket(family, STREAM))
            plain.connect(door.getsockname()[:2])
            machine.keep(f"{word} fallen back", door.accept()[0])


# --- UDP, raw, SCTP -----------------------------------------------------------------------------


def make_udp(machine: Machine) -> None:
    for word, protocol in (("udp", socket.IPPROTO_UDP), ("udplite", IPPROTO_UDPLITE)):
        for digit, family, address, everywhere in (
            (4, V4, "127.0.0.1", "0.0.0.0"),
            (6, V6, "::1", "::"),
        ):
            name = f"{word}{digit}"
            with machine.allowed_to_refuse(name):
                bound = machine.keep(f"{name} bound", socket.socket(family, DATAGRAM, protocol))
                bound.bind((address, 0))
                anywhere = machine.keep(f"{name} any", socket.socket(family, DATAGRAM, protocol))
                anywhere.bind((everywhere, 0))
                client = machine.keep(
                    f"{name} connected", socket.socket(family, DATAGRAM, protocol)
                )
                client.connect(bound.getsockname()[:2])
                for _ in range(3):
                    client.send(bytes(100))
                bound.recv(1, socket.MSG_PEEK)
                machine.keep(f"{name} closed", socket.socket(family, DATAGRAM, protocol))
    group = machine.keep("udp4 multicast", socket.socket(V4, DATAGRAM))
    group.bind(("224.0.0.251", 5353))
    membership = socket.inet_aton("224.0.0.251") + struct.pack("=4xi", 1)
    group.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    group = machine.keep("udp6 multicast", socket.socket(V6, DATAGRAM))
    group.bind(("ff02::fb", 5353, 0, 1))
    bound = machine.keep("udp4 device", socket.socket(V4, DATAGRAM))
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    bound.bind(("127.0.0.1", 53))
    bound.setsockopt(socket.SOL_SOCKET, SO_MARK, 7)
    mapped = machine.keep("udp6 mapped", socket.socket(V6, DATAGRAM))
    mapped.connect(("::ffff:127.0.0.1", 9))


def make_raw(machine: Machine) -> None:
    for name, family, protocol in (
        ("raw4 icmp", V4, socket.IPPROTO_ICMP),
        ("raw4 255", V4, socket.IPPROTO_RAW),
        ("raw6 icmp", V6, socket.IPPROTO_ICMPV6),
        ("raw6 ospf", V6, 89),
    ):
        with machine.allowed_to_refuse(name):
            machine.keep(name, socket.socket(family, socket.SOCK_RAW, protocol))
    with machine.allowed_to_refuse("raw4 connected"):
        sock = machine.keep("raw4 connected", socket.socket(V4, socket.SOCK_RAW, 253))
        sock.bind(("127.0.0.1", 0))
        sock.connect(("127.0.0.2", 0))
    with machine.allowed_to_refuse("raw4 unread"):
        sock = machine.keep("raw4 unread", socket.socket(V4, socket.SOCK_RAW, 254))
        sock.sendto(bytes(32), ("127.0.0.1", 0))
        sock.recv(1, socket.MSG_PEEK)
    for name, family, address, protocol in (
        ("ping4", V4, "127.0.0.1", socket.IPPROTO_ICMP),
        ("ping6", V6, "::1", socket.IPPROTO_ICMPV6),
    ):
        with machine.allowed_to_refuse(name):
            Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 0")
            sock = machine.keep(name, socket.socket(family, DATAGRAM, protocol))
            sock.bind((address, 77))


def make_sctp(machine: Machine) -> None:
    with machine.allowed_to_refuse("sctp"):
        many = machine.keep("sctp listen, 2 addresses", socket.socket(V4, STREAM, IPPROTO_SCTP))
        many.bind(("127.0.0.1", 4000))
        second = struct.pack("=H", V4) + struct.pack(">H4s8x", 4000, bytes((127, 0, 0, 2)))
        many.setsockopt(IPPROTO_SCTP, SCTP_BINDX_ADD, second)
        many.listen(5)
        client, server = connect(many)
        machine.keep("sctp established", client)
        machine.keep("sctp established, peer", server)
        client.send(bytes(200))
        server.recv(1, socket.MSG_PEEK)
        to_many = machine.keep("sctp one-to-many", socket.socket(V6, SEQPACKET, IPPROTO_SCTP))
        to_many.bind(("::1", 4001))
        to_many.listen(5)
        client = machine.keep("sctp6 established", socket.socket(V6, STREAM, IPPROTO_SCTP))
        client.connect(("::1", 4001))
        machine.keep("sctp bound", socket.socket(V4, STREAM, IPPROTO_SCTP)).bind(
            ("127.0.0.1", 4002)
        )


# --- what is not IP -----------------------------------------------------------------------------


def make_unix(machine: Machine) -> None:
    """Make sockets of AF_UNIX; their files go into the working directory."""

    def unix(name: str, kind: int = STREAM, bind: bytes | None = None) -> socket.socket:
        sock = machine.keep(f"unix {name}", socket.socket(socket.AF_UNIX, kind))
        if bind is not None:
            sock.bind(bind)
        return sock

    for word, kind in (("stream", STREAM), ("seqpacket", SEQPACKET)):
        path = os.fsencode(Path.cwd()) + b"/" + word.encode()
        door = unix(f"{word} listen", kind, path)
        door.listen(5)
        client = unix(f"{word} established", kind)
        client.connect(path)
        server = machine.keep(f"unix {word} accepted", door.accept()[0])
        client.send(b"unread")
        server.recv(1, socket.MSG_PEEK)
        for number in range(2):
            unix(f"{word} not accepted {number}", kind).connect(path)
    for word, kind in (("stream", STREAM), ("datagram", DATAGRAM), ("seqpacket", SEQPACKET)):
        one, other = socket.socketpair(socket.AF_UNIX, kind)
        machine.keep(f"unix {word} pair", one).send(b"12345")
        machine.keep(f"unix {word} pair, peer", other)
    receiver = unix("datagram named", DATAGRAM, b"datagram")
    for number in range(2):
        sender = unix(f"datagram connected {number}", DATAGRAM)
        sender.connect(b"datagram")
        sender.send(bytes(10))
    receiver.recv(1, socket.MSG_PEEK)
    for name, path in (
        ("abstract", b"\0sockwright/every"),
        ("abstract nasty", b"\0a b\0c\x1b]0;title\x07\xff"),
        ("autobound", b""),
        ("with spaces", b"a name  with spaces"),
        ("with newline", b"new\nline"),
        ("with escape", b"\x1b[31mred\x1b[m"),
        ("not UTF-8", b"\xff\xfe\xe4"),
        ("like a row", b"* 0 * 0"),
        ("long", b"x" * 107),
        ("deleted", b"deleted"),
    ):
        unix(name, bind=path).listen(1)
    Path("deleted").unlink()
    unix("bound, not listening", bind=b"bound")
    unix("closed")
    one, other = socket.socketpair()
    machine.keep("unix shut down", one).shutdown(socket.SHUT_WR)
    machine.keep("unix shut down, peer", other).shutdown(socket.SHUT_WR)
    one, other = socket.socketpair()
    machine.keep("unix peer is gone", one)
    other.close()

    # A socket that no process has: it is on its way, in a message that nobody receives.
    one, other = socket.socketpair()
    machine.keep("unix carrier", one)
    machine.keep("unix carrier, peer", other)
    travelling = listen(V4, "127.0.0.1")
    machine.sockets["tcp4 listen, of no process"] = (0, 0, os.fstat(travelling.fileno()).st_ino)
    socket.send_fds(one, [b"x"], [travelling.fileno()])
    travelling.close()


def make_packet(machine: Machine) -> None:
    """Make sockets of AF_PACKET, deaf but for one: what they hold would change all the time."""

    def packet(name: str, kind: int, protocol: int) -> socket.socket:
        sock = machine.keep(f"packet {name}", socket.socket(socket.AF_PACKET, kind, 0))
        deafen(sock).bind(("lo", protocol))
        return sock

    with machine.allowed_to_refuse("packet"):
        packet("raw all", socket.SOCK_RAW, ETH_P_ALL)
        everywhere = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
        machine.keep("packet raw everywhere", deafen(everywhere))
        packet("datagram ip", DATAGRAM, ETH_P_IP)
        packet("datagram arp", DATAGRAM, ETH_P_ARP)
        machine.keep("packet unbound", socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
        ring = packet("ring", socket.SOCK_RAW, ETH_P_ARP)
        ring.setsockopt(SOL_PACKET, PACKET_RX_RING, struct.pack("=4I", 4096, 4, 2048, 8))
        for number in range(2):
            sock = packet(f"fanout {number}", socket.SOCK_RAW, ETH_P_IP)
            sock.setsockopt(SOL_PACKET, PACKET_FANOUT, 42)
        unread = machine.keep("packet unread", socket.socket(socket.AF_PACKET, DATAGRAM, 0))
        unread.bind(("lo", ETH_P_IP))
        with socket.socket(V4, DATAGRAM) as sender:
            sender.sendto(bytes(64), ("127.0.0.1", 9))
        unread.recv(1, socket.MSG_PEEK)
        deafen(unread)


def make_netlink(machine: Machine) -> None:
    for name, protocol, groups in (
        ("route", socket.NETLINK_ROUTE, 0),
        ("route, groups", socket.NETLINK_ROUTE, 0x11),
        ("netfilter", 12, 0),
        ("sock_diag", 4, 0),
        ("generic", 16, 0),
        ("uevent", 15, 1),
        ("xfrm", 6, 0),
    ):
        with machine.allowed_to_refuse(f"netlink {name}"):
            sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
            machine.keep(f"netlink {name}", sock).bind((0, groups))
    unread = machine.keep("netlink unread", socket.socket(socket.AF_NETLINK, DATAGRAM, 0))
    request = struct.pack("=IHHIIB15x", 32, RTM_GETLINK, NLM_F_REQUEST_DUMP, 1, 0, 0)
    unread.bind((0, 0))
    unread.send(request)
    machine.keep("netlink unbound", socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))


def make_vsock(machine: Machine) -> None:
    with machine.allowed_to_refuse("vsock"):
        door = machine.keep("vsock listen", socket.socket(socket.AF_VSOCK, STREAM))
        door.bind((socket.VMADDR_CID_ANY, socket.VMADDR_PORT_ANY))
        door.listen(3)
    if not Path("/sys/module/vsock_loopback").exists():
        machine.refused["vsock connected"] = "no module vsock_loopback"
        return
    client = machine.keep("vsock connected", socket.socket(socket.AF_VSOCK, STREAM))
    client.connect((VSOCK_LOCAL, door.getsockname()[1]))
    machine.keep("vsock connected, peer", door.accept()[0])


# --- other processes ----------------------------------------------------------------------------


def make_processes(machine: Machine, gone: tuple[int, int]) -> None:
    """Start the other processes, each with sockets of its own; while few sockets are open."""
    shared = machine.keep("tcp4 listen, shared", listen(V4, "127.0.0.1"))
    machine.keep("udp4 shared", socket.socket(V4, DATAGRAM)).bind(("127.0.0.1", 0))
    start(machine, "sharing", gone, lambda _: shared.dup().detach())

    def nasty(its: Machine) -> None:
        ctypes.CDLL(None).prctl(PR_SET_NAME, NASTY_NAME)
        its.keep("tcp4 listen, nasty", listen(V4, "127.0.0.1"))
        its.keep("unix nasty", socket.socket(socket.AF_UNIX, DATAGRAM)).bind(b"\0nasty")

    start(machine, "nasty", gone, nasty)

    def other_user(its: Machine) -> None:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1)  # or /proc would still be root's
        its.keep("tcp4 listen, other user", listen(V4, "127.0.0.1"))
        its.keep("tcp6 listen, other user", listen(V6, "::1"))
        its.keep("udp4 other user", socket.socket(V4, DATAGRAM)).bind(("127.0.0.1", 0))
        its.keep("unix other user", socket.socket(socket.AF_UNIX, DATAGRAM)).bind(b"\0nobody")

    with machine.allowed_to_refuse("other user"):
        start(machine, "other user", gone, other_user)


def start(
    machine: Machine, name: str, gone: tuple[int, int], work: Callable[[Machine], object]
) -> None:
    """Run `work` in a process of this name, which ends with this one. Raises what `work` does."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            os.close(gone[1])
            os.dup2(os.open(os.devnull, os.O_RDWR), 1)
            its = Machine()
            try:
                work(its)
                told = {"sockets": its.sockets, "errno": 0}
            except OSError as error:
                told = {"sockets": {}, "errno": error.errno}
            os.write(writing, json.dumps(told).encode())
            os.close(writing)
            if not told["errno"]:
                os.read(gone[0], 1)  # nothing is ever written: this waits for the end
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = json.load(pipe)
    if answer["errno"]:
        os.waitpid(pid, 0)
        raise OSError(answer["errno"], os.strerror(answer["errno"]))
    machine.processes[name] = pid
    machine.sockets.update(answer["sockets"])


def set_up_network() -> None:
    with socket.socket(V4, DATAGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", IFF_UP))
    for name, value in (("tcp_synack_retries", 30), ("tcp_orphan_retries", 30)):
        Path(f"/proc/sys/net/ipv4/{name}").write_text(str(value))


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="sw-") as folder:
        os.chdir(folder)
        machine = make_all()
        told = {name: getattr(machine, name) for name in ("sockets", "refused", "processes")}
        os.write(1, json.dumps(told).encode() + b"\n")
        sys.stdin.buffer.read()


def make_all() -> Machine:
    set_up_network()
    machine = Machine()
    make_processes(machine, os.pipe())
    tcp = make_tcp(machine)
    make_mapped_tcp(machine)
    make_mptcp(machine)
    make_udp(machine)
    make_raw(machine)
    make_sctp(machine)
    make_unix(machine)
    make_packet(machine)
    make_netlink(machine)
    make_vsock(machine)
    for sockets in tcp:
        sockets.settle()
    return machine


if __name__ == "__main__":
    main()
