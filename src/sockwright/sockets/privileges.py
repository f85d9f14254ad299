"""Capabilities of this process, after capabilities(7), and what to do when one is missing.

Linux checks most network privileges against the user namespace that owns the *network* namespace:
inside a lab an ordinary user holds them all, without holding any outside. A few (SO_RCVBUFFORCE
above the limit, loading kernel modules) ask the first user namespace, where only root helps.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["Capability", "Privileges", "command_for", "effective_capabilities", "remedy_for"]


class Capability(IntEnum):
    """Bit numbers of capabilities(7); `name` is what the manual page calls it."""

    CAP_CHOWN = 0
    CAP_DAC_OVERRIDE = 1
    CAP_DAC_READ_SEARCH = 2
    CAP_FOWNER = 3
    CAP_FSETID = 4
    CAP_KILL = 5
    CAP_SETGID = 6
    CAP_SETUID = 7
    CAP_SETPCAP = 8
    CAP_LINUX_IMMUTABLE = 9
    CAP_NET_BIND_SERVICE = 10
    CAP_NET_BROADCAST = 11
    CAP_NET_ADMIN = 12
    CAP_NET_RAW = 13
    CAP_IPC_LOCK = 14
    CAP_IPC_OWNER = 15
    CAP_SYS_MODULE = 16
    CAP_SYS_RAWIO = 17
    CAP_SYS_CHROOT = 18
    CAP_SYS_PTRACE = 19
    CAP_SYS_PACCT = 20
    CAP_SYS_ADMIN = 21
    CAP_SYS_BOOT = 22
    CAP_SYS_NICE = 23
    CAP_SYS_RESOURCE = 24
    CAP_SYS_TIME = 25
    CAP_SYS_TTY_CONFIG = 26
    CAP_MKNOD = 27
    CAP_LEASE = 28
    CAP_AUDIT_WRITE = 29
    CAP_AUDIT_CONTROL = 30
    CAP_SETFCAP = 31
    CAP_MAC_OVERRIDE = 32
    CAP_MAC_ADMIN = 33
    CAP_SYSLOG = 34
    CAP_WAKE_ALARM = 35
    CAP_BLOCK_SUSPEND = 36
    CAP_AUDIT_READ = 37
    CAP_PERFMON = 38
    CAP_BPF = 39
    CAP_CHECKPOINT_RESTORE = 40


@dataclass(frozen=True, slots=True)
class Privileges:
    """What this thread may do: its user, its effective capabilities, its user namespace.

    `effective` counts inside the user namespace only; `first_namespace` is False in a container or
    lab whose user namespace is not the machine's own.
    """

    uid: int
    effective: frozenset[Capability]
    first_namespace: bool

    @classmethod
    def current(cls) -> Privileges:
        """Read them from /proc/self; without /proc (not Linux) there are none."""
        return cls(os.geteuid(), effective_capabilities(), _in_first_namespace())

    def __contains__(self, capability: object) -> bool:
        return capability in self.effective

    def __str__(self) -> str:
        count = len(self.effective)
        if count == len(Capability):
            held = "every capability"
        elif count > 4:
            held = f"{count} capabilities"
        else:
            held = ", ".join(c.name for c in sorted(self.effective)) or "no capability"
        where = "" if self.first_namespace else ", in a user namespace of its own"
        return f"uid {self.uid} with {held}{where}"


def effective_capabilities() -> frozenset[Capability]:
    """Decode CapEff of /proc/self/status; bits that this table does not know are left out."""
    try:
        status = _read("/proc/self/status")
    except OSError:
        return frozenset()
    for line in status.splitlines():
        if line.startswith("CapEff:"):
            mask = int(line.split()[1], 16)
            return frozenset(c for c in Capability if mask >> c & 1)
    return frozenset()


def _in_first_namespace() -> bool:
    # Only the first user namespace maps all 2**32 - 1 users onto themselves. A child namespace may
    # do so too, when root made it; no file tells these two apart.
    try:
        text = _read("/proc/self/uid_map")
    except OSError:
        return True
    return [line.split() for line in text.splitlines()] == [["0", "0", "4294967295"]]


def _read(path: str) -> str:
    # Not by pathlib, whose import takes 5 ms, and is not possible any more where a process has
    # become a user who may not read Python's own files.
    with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
        return file.read()


def remedy_for(capability: Capability) -> str:
    """Say, in one line without a full stop, how a person gets `capability` for `sw`."""
    ways = "'sw lab shell' gives a network of your own without root"
    if capability is Capability.CAP_NET_BIND_SERVICE:
        ways += ", as root 'sysctl net.ipv4.ip_unprivileged_port_start=PORT' opens ports from PORT"
    return f"{ways}, or as root: {command_for(capability)}"


def command_for(capability: Capability) -> str:
    """Give the command by which root runs `sw` as USER with `capability` and no other."""
    # Never "setcap on python": PYTHONPATH stays honoured, so every user would get it in any script.
    # --regid, because --reuid alone leaves the group root; the bounding set, because otherwise a
    # setuid program started by sw gets everything back.
    name = capability.name.removeprefix("CAP_").lower()
    return (
        f"setpriv --reuid USER --regid GROUP --init-groups --inh-caps=-all,+{name} "
        f"--ambient-caps=-all,+{name} --bounding-set=-all,+{name} sw ..."
    )
