"""What a listing of sockets has to say beside its rows."""

from __future__ import annotations

import os

__all__ = ["Remark", "has_protocol", "hidden", "interrupted", "missing", "no_protocol"]

# By table: what people call it, its name in /proc/net/protocols, the module of the kernel that
# lists these sockets, and the option that a kernel is built with to have it (net/*/Kconfig).
_PARTS = {
    "tcp": ("TCP", "TCP", "tcp_diag", "CONFIG_INET_TCP_DIAG"),
    "mptcp": ("MPTCP", "MPTCP", "mptcp_diag", "CONFIG_INET_MPTCP_DIAG"),
    "udp": ("UDP", "UDP", "udp_diag", "CONFIG_INET_UDP_DIAG"),
    "udplite": ("UDP-Lite", "UDP-Lite", "udp_diag", "CONFIG_INET_UDP_DIAG"),
    "raw": ("raw", "RAW", "raw_diag", "CONFIG_INET_RAW_DIAG"),
    "sctp": ("SCTP", "SCTP", "sctp_diag", "CONFIG_INET_SCTP_DIAG"),
    "unix": ("UNIX", "UNIX", "unix_diag", "CONFIG_UNIX_DIAG"),
    "packet": ("packet", "PACKET", "af_packet_diag", "CONFIG_PACKET_DIAG"),
    "netlink": ("netlink", "NETLINK", "netlink_diag", "CONFIG_NETLINK_DIAG"),
    "vsock": ("VSOCK", "AF_VSOCK", "vsock_diag", "CONFIG_VSOCKETS_DIAG"),
}
# By their numbers (linux/capability.h): the first lets read where the links of /proc/PID/fd lead,
# the other open that folder.
_TO_LOOK = {19: "CAP_SYS_PTRACE", 2: "CAP_DAC_READ_SEARCH"}


class Remark:
    """Something that a listing has to say beside its rows.

    `kind` is "unlisted" (nothing lists these sockets), "fallback" (/proc does, which tells less),
    "interrupted" (the tables changed under every try) or "hidden" (there are processes that this
    user may not look into); `table` is the table that it is about, or "".
    """

    __slots__ = ("kind", "table", "text")

    def __init__(self, kind: str, table: str, text: str) -> None:
        self.kind = kind
        self.table = table
        self.text = text

    def as_dict(self) -> dict[str, str]:
        """Return kind, table and text; what ``--json`` prints."""
        return {"kind": self.kind, "table": self.table, "text": self.text}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Remark):
            return NotImplemented
        return self.as_dict() == other.as_dict()

    def __hash__(self) -> int:
        return hash((self.kind, self.table, self.text))

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<Remark {self.kind} {self.table}: {self.text}>"


def has_protocol(table: str) -> bool:
    """Tell whether the kernel has the protocol of a table at all; without it, it has no sockets.

    True where there is no /proc to tell.
    """
    try:
        with open("/proc/net/protocols", encoding="ascii", errors="replace") as file:
            return any(line.split(" ", 1)[0] == _PARTS[table][1] for line in file)
    except OSError:
        return True


def no_protocol(table: str) -> Remark:
    """Say that there can be no such sockets."""
    name = _PARTS[table][0]
    return Remark("unlisted", table, f"there are no {name} sockets: this kernel has no {name}")


def missing(table: str, also: str = "") -> Remark:
    """Say which part of the kernel is missing, and what came of it: /proc, or nothing.

    `also` is why /proc does not help either.
    """
    name, _, module, option = _PARTS[table]
    how = f"{name} sockets cannot be listed" if also else f"{name} sockets were read from /proc"
    text = (
        f"{how}: this kernel lacks {module} ({option}); where it was built as a module, "
        f"'modprobe {module}' as root loads it"
    )
    if also:
        return Remark("unlisted", table, f"{text} ({also})")
    return Remark("fallback", table, text)


def interrupted(table: str, tries: int) -> Remark:
    """Say that the sockets of a table changed during each of so many tries."""
    name = _PARTS[table][0]
    text = f"the {name} sockets changed while they were listed, {tries} times: some may be missing"
    return Remark("interrupted", table, text)


def hidden(sockets: int, unreadable: int, *, more: bool) -> Remark:
    """Say that so many sockets have no owner, as so many processes could not be looked into.

    `more` says that /proc does not even show all processes (its option hidepid).
    """
    have = "socket has" if sockets == 1 else "sockets have"
    why = []
    if unreadable:
        why.append(f"{unreadable} {'process is' if unreadable == 1 else 'processes are'} closed")
    if more:
        why.append("those of others are not shown by /proc, which is mounted with hidepid")
    text = f"{sockets} {have} no process that this user may see ({'; '.join(why)}); {_remedy()}"
    return Remark("hidden", "", text)


def _remedy() -> str:
    """Say what it takes to look into every process."""
    held = _capabilities()
    lacking = [name for number, name in _TO_LOOK.items() if not held >> number & 1]
    if lacking and os.geteuid() != 0:
        return f"to see them takes root, or {' with '.join(_TO_LOOK.values())}"
    if lacking:
        return f"to see them takes {' with '.join(lacking)}, which root has not got here"
    # As root of a user namespace finds those outside, for instance.
    return "they are closed to root as well, by their user namespace or a security module"


def _capabilities() -> int:
    """Return the effective capabilities of this process, as bits; none where there is no /proc."""
    try:
        with open("/proc/self/status", "rb") as file:
            return next((int(line[7:], 16) for line in file if line.startswith(b"CapEff:")), 0)
    except OSError:
        return 0
