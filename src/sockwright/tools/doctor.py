"""Tell what this user may do with sockets here, and what to do about the rest.

Group: setup
Stands in for: getcap, sysctl, trial and error

Every line was found by trying: the socket was opened, the packet sent to this machine itself, the
namespace made in a process that has ended by now. Nothing leaves the machine and nothing stays.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from sockwright.errors import UsageError
from sockwright.lab.refusal import explain
from sockwright.sockets import namespace_probe
from sockwright.sockets.datagram_socket import datagram
from sockwright.sockets.packet_socket import packet
from sockwright.sockets.privileges import Capability, command_for
from sockwright.sockets.raw_socket import raw
from sockwright.sockets.stream_socket import Seqpacket, Stream, connect, listen

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["Finding", "diagnose"]

EXAMPLES: tuple[tuple[str, str], ...] = (
    ("sw doctor", "everything that this user may and may not do here"),
    ("sw doctor --missing", "only what is not possible, with what to do about it"),
    ("sw doctor --json raw", "only what has raw in its name, for a program"),
)

Cause = Literal["", "privilege", "setting", "kernel", "build", "package"]

_TIMEOUT = 5.0  # seconds for what happens on the loopback
_EXPERIMENTAL = 253  # RFC 3692: a protocol number for experiments, nobody listens for it
_SYSCTL = Path("/proc/sys")


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether one action works here.

    `needs` is what the action takes in general, `detail` what was found, `cause` what is missing
    (empty when nothing is), `remedy` what to do about it, and `command` how root runs `sw` as a
    user with just that privilege (only told to programs: it is long).
    """

    columns: ClassVar[tuple[str, ...]] = ("action", "ok", "needs", "detail", "remedy")

    action: str
    ok: bool
    needs: str
    detail: str
    cause: Cause
    remedy: str
    command: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One action: how to try it, and what to say when it fails.

    `attempt` gives a detail or raises `OSError`. `capability` is what a refusal is due to, `module`
    the kernel module that a missing protocol is in, `setting` the sysctl that opens or closes it.
    """

    action: str
    attempt: Callable[[], str]
    needs: str = ""
    capability: Capability | None = None
    module: str = ""
    setting: str = ""


class _MissingError(Exception):
    """Something other than the kernel says no."""

    def __init__(self, cause: Cause, detail: str, remedy: str) -> None:
        super().__init__(detail)
        self.cause: Cause = cause
        self.remedy = remedy


# What the kernel says of something that it does not have.
_ABSENT = {
    errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT, errno.ENOPROTOOPT,
    errno.EOPNOTSUPP, errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EINVAL,
}  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "action", nargs="*", help="try only the actions whose name holds one of these words"
    )
    parser.add_argument("--missing", action="store_true", help="show only what is not possible")


def run(args: argparse.Namespace) -> Iterator[Finding]:
    """Yield a row for every action that was tried."""
    words = [word for word in args.action if not _chosen([word])]
    if words:
        raise UsageError(f"no action has {words[0]!r} in its name; sw doctor shows them all")
    for finding in diagnose(*args.action):
        if not (args.missing and finding.ok):
            yield finding


def diagnose(*words: str) -> Iterator[Finding]:
    """Try every action whose name holds one of `words` (all without words), and say how it went.

    Nothing is raised for what is not possible: that is a `Finding` whose `ok` is False.
    """
    for check in _chosen(words):
        yield _try(check)


def _chosen(words: Sequence[str]) -> list[Check]:
    return [c for c in _checks() if not words or any(w.lower() in c.action.lower() for w in words)]


def _try(check: Check) -> Finding:
    try:
        detail = check.attempt()
    except _MissingError as error:
        return Finding(check.action, False, check.needs, str(error), error.cause, error.remedy)
    except OSError as error:
        cause, remedy = _blame(check, error)
        name = errno.errorcode.get(error.errno or 0, "no answer")
        detail = f"{os.strerror(error.errno)} ({name})" if error.errno else str(error)
        command = ""
        if cause == "privilege" and check.capability is not None:
            command = command_for(check.capability)
        return Finding(check.action, False, check.needs, detail, cause, remedy, command)
    return Finding(check.action, True, check.needs, detail, "", "")


def _blame(check: Check, error: OSError) -> tuple[Cause, str]:
    if isinstance(error, PermissionError):
        if check.capability is None:
            return "setting", check.setting or "as root"
        # In a user namespace of one's own there is no power over other users' processes.
        alone = check.capability is Capability.CAP_SYS_PTRACE
        return "privilege", "as root" if alone else "in a lab: sw lab shell; or as root"
    if error.errno in _ABSENT:
        if check.setting:
            return "setting", check.setting
        if check.module and _module_exists(check.module):
            return "kernel", f"as root: modprobe {check.module}"
        return "kernel", f"boot a kernel that has it (this is {os.uname().release})"
    if error.errno in {errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.ENETDOWN}:
        return "setting", check.setting or "as root: ip link set lo up"
    return "setting", ""


def _module_exists(name: str) -> bool:
    path = Path("/lib/modules") / os.uname().release / "modules.dep"
    try:
        return f"/{name}.ko" in path.read_text(encoding="utf-8")
    except OSError:
        return False


# -- the attempts ---------------------------------------------------------------------------------


def _tcp(host: str, port: int = 0) -> str:
    with (
        listen(f"tcp://{host}:{port}", timeout=_TIMEOUT) as listener,
        connect(listener.local_address, timeout=_TIMEOUT) as client,
        listener.accept() as server,
    ):
        client.send_all(b"?")
        server.timeout = _TIMEOUT
        server.recv_exactly(1)
        return f"connected over {listener.local_address.host}"


def _low_port() -> str:
    first = int(_setting("net/ipv4/ip_unprivileged_port_start", "1024"))
    for port in (1, *range(1023, 1000, -1)):
        try:
            listen(f"tcp://127.0.0.1:{port}").close()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return f"listened on port {port} (ports from {first} are open to every user)"
    raise _MissingError("setting", "every port that was tried is in use", "")


def _udp() -> str:
    with (
        datagram("udp://:0", timeout=_TIMEOUT) as server,
        datagram(remote=server.local_address) as client,
    ):
        client.send(b"?")
        server.receive()
        return "sent and received"


def _unix(kind: Literal["stream", "datagram", "seqpacket"]) -> str:
    # Abstract names need no place on a disk that might be read-only; the kernel does the same.
    name = f"unix-abstract:sockwright-doctor-{os.getpid()}"
    if kind == "datagram":
        with datagram(name, timeout=_TIMEOUT) as server, datagram(remote=name) as client:
            client.send(b"?")
            server.receive()
    else:
        connection = Seqpacket if kind == "seqpacket" else Stream
        with (
            listen(name, connection, timeout=_TIMEOUT),
            connect(name, connection, timeout=_TIMEOUT),
        ):
            pass
    return "opened and connected"


def _raw(host: str) -> str:
    with raw(f"raw://{host}?protocol={_EXPERIMENTAL}", bind=True, timeout=_TIMEOUT) as sock:
        sock.send_to(b"sockwright doctor", f"raw://{host}")
        sock.receive()
        return f"protocol {_EXPERIMENTAL} sent to {host} and received"


def _capture() -> str:
    with packet("lo", timeout=_TIMEOUT) as sock:
        _udp()
        sock.receive()
        return "saw a frame on lo"


def _promiscuous() -> str:
    names = [name for _, name in socket.if_nameindex() if name != "lo"]
    name = names[0] if names else "lo"
    packet(name, promiscuous=True).close()
    return f"on {name}"


def _ping(family: int, protocol: int, host: str, request: int) -> str:
    with socket.socket(family, socket.SOCK_DGRAM, protocol) as sock:
        sock.settimeout(_TIMEOUT)
        # Type, code, checksum (by the kernel), identifier (by the kernel), sequence number.
        sock.sendto(struct.pack("!BBHHH", request, 0, 0, 0, 1), (host, 0))
        sock.recv(100)
        return f"{host} answered"


def _socket(family: int, kind: int, protocol: int) -> str:
    with socket.socket(family, kind, protocol):
        return "opened"


def _bluetooth() -> str:
    opened = _socket(31, socket.SOCK_STREAM, 3)  # AF_BLUETOOTH, BTPROTO_RFCOMM
    if not hasattr(socket, "BTPROTO_RFCOMM"):
        raise _MissingError(
            "build",
            "this Python was built without bluetooth/bluetooth.h",
            "the Python of the distribution, or build it with libbluetooth-dev installed",
        )
    return opened


def _vsock() -> str:
    with socket.socket(40, socket.SOCK_STREAM):
        pass
    try:
        with Path("/dev/vsock").open("rb") as device:
            from fcntl import ioctl

            answer = ioctl(device, 0x7B9, bytes(4))  # IOCTL_VM_SOCKETS_GET_LOCAL_CID
    except OSError:
        return "opened; no number of this machine (CID)"
    return f"opened; this machine is CID {struct.unpack('=I', answer)[0]}"


def _option(level: int, name: int, value: int) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(level, name, value)
    return "set"


def _receive_buffer() -> str:
    limit = _setting("net/core/rmem_max", "?")
    try:
        _option(socket.SOL_SOCKET, 33, 1 << 22)
    except PermissionError as error:
        detail = f"SO_RCVBUF is cut off at net.core.rmem_max = {limit} octets"
        remedy = "as root: sysctl net.core.rmem_max=8388608 (a lab does not help here)"
        raise _MissingError("privilege", detail, remedy) from error
    return f"SO_RCVBUFFORCE passes net.core.rmem_max = {limit}"


def _sock_diag() -> str:
    request = struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF)
    namespace_probe.netlink(4, 20, 0x301, request + bytes(48))
    return "the kernel lists its TCP sockets"


def _owners() -> str:
    os.listdir("/proc/1/fd")  # noqa: PTH208 - only whether it may be listed
    return "the owner of every socket can be told"


def _namespace(results: Callable[[], Mapping[str, tuple[str, int] | None]], key: str) -> str:
    try:
        refused = results()[key]
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise _MissingError("setting", f"the try itself failed: {error}", "") from error
    if refused is None:
        return "made, and gone again"
    stage, number = refused
    name = errno.errorcode.get(number, str(number))
    if not stage.endswith("namespace"):
        detail = f"the kernel refuses a {stage}: {os.strerror(number)} ({name})"
        raise _MissingError(
            "kernel", detail, f"boot a kernel that has it (this is {os.uname().release})"
        )
    if key == "network" and number == errno.EPERM and results()["lab"] is None:
        detail = f"an ordinary user makes one only inside a user namespace ({name})"
        raise _MissingError("privilege", detail, "'sw lab shell' does so, or run as root")
    told = explain(stage, number)
    absent = number in {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
    raise _MissingError("kernel" if absent else "privilege", told.missing, told.remedy)


def _program(name: str, package: str, detail: str) -> str:
    if shutil.which(name) is None:
        raise _MissingError("package", f"no {name} on the PATH", f"as root: apt install {package}")
    return detail


def _setting(path: str, default: str) -> str:
    try:
        return (_SYSCTL / path).read_text(encoding="utf-8").strip()
    except OSError:
        return default


def _probe_namespaces() -> Callable[[], Mapping[str, tuple[str, int] | None]]:
    """Give a function that runs the tries in a process of their own, once."""
    found: dict[str, tuple[str, int] | None] = {}

    def results() -> dict[str, tuple[str, int] | None]:
        if not found:
            # A process of its own: unshare(2) is refused once any thread exists.
            command = [sys.executable, "-I", "-S", namespace_probe.__file__]
            done = subprocess.run(command, capture_output=True, check=True, timeout=5)
            found.update(json.loads(done.stdout))
        return found

    return results


def _nothing(attempt: Callable[[], None], detail: str) -> str:
    attempt()
    return detail


def _checks() -> list[Check]:
    cap = Capability
    names = _probe_namespaces()
    admin, net_raw = cap.CAP_NET_ADMIN.name, cap.CAP_NET_RAW.name
    ping = "as root: sysctl net.ipv4.ping_group_range='0 2147483647'"
    ipv6 = "as root: sysctl net.ipv6.conf.all.disable_ipv6=0"
    sol, ip = socket.SOL_SOCKET, socket.IPPROTO_IP
    return [
        Check("TCP over IPv4", lambda: _tcp("127.0.0.1")),
        Check("TCP over IPv6", lambda: _tcp("[::1]"), module="ipv6", setting=ipv6),
        Check("listen below 1024", _low_port, "CAP_NET_BIND_SERVICE", cap.CAP_NET_BIND_SERVICE),
        Check("UDP", _udp),
        Check("UNIX stream", lambda: _unix("stream"), module="unix"),
        Check("UNIX datagram", lambda: _unix("datagram"), module="unix"),
        Check("UNIX seqpacket", lambda: _unix("seqpacket"), module="unix"),
        Check("raw send over IPv4", lambda: _raw("127.0.0.1"), net_raw, cap.CAP_NET_RAW),
        Check("raw send over IPv6", lambda: _raw("[::1]"), net_raw, cap.CAP_NET_RAW, "ipv6", ipv6),
        Check("capture", _capture, net_raw, cap.CAP_NET_RAW, "af_packet"),
        Check("promiscuous mode", _promiscuous, net_raw, cap.CAP_NET_RAW, "af_packet"),
        Check(
            "ping socket",
            lambda: _ping(socket.AF_INET, socket.IPPROTO_ICMP, "127.0.0.1", 8),
            "ping_group_range",
            setting=ping,
        ),
        Check(
            "ping socket over IPv6",
            lambda: _ping(socket.AF_INET6, 58, "::1", 128),
            "ping_group_range",
            setting=ping,
        ),
        Check("user namespace", lambda: _namespace(names, "user"), "a kernel that allows it"),
        Check("network namespace", lambda: _namespace(names, "network"), "CAP_SYS_ADMIN"),
        Check("lab", lambda: _namespace(names, "lab"), "root or user namespaces, veth, bridge"),
        Check(
            "lab shell side by side",
            lambda: _program("tmux", "tmux", "tmux is there"),
            "the program tmux",
        ),
        Check(
            "TUN device",
            lambda: _nothing(namespace_probe.tun, "made, and gone again"),
            admin,
            cap.CAP_NET_ADMIN,
            "tun",
        ),
        Check("large receive buffer", _receive_buffer, f"{admin} outside of any lab"),
        Check("set a mark", lambda: _option(sol, socket.SO_MARK, 1), admin, cap.CAP_NET_ADMIN),
        Check("transparent proxy", lambda: _option(ip, 19, 1), admin, cap.CAP_NET_ADMIN),
        Check("list sockets", _sock_diag, module="inet_diag"),
        Check("list their owners", _owners, "CAP_SYS_PTRACE", cap.CAP_SYS_PTRACE),
        Check(
            "MPTCP",
            lambda: _socket(socket.AF_INET, socket.SOCK_STREAM, 262),
            "a kernel with MPTCP",
            setting="as root: sysctl net.mptcp.enabled=1",
        ),
        Check(
            "SCTP",
            lambda: _socket(socket.AF_INET, socket.SOCK_STREAM, 132),
            "a kernel with SCTP",
            module="sctp",
        ),
        Check(
            "UDP-Lite",
            lambda: _socket(socket.AF_INET, socket.SOCK_DGRAM, 136),
            "a kernel with UDP-Lite",
        ),
        Check("VSOCK", _vsock, "a kernel with VSOCK", module="vsock"),
        Check("Bluetooth", _bluetooth, "a kernel and a Python with Bluetooth", module="bluetooth"),
    ]
