"""Kernel errors that say what to do.

A kernel error stays the `OSError` that Python raises, with its errno and its class
(`PermissionError`, `ConnectionRefusedError`, `TimeoutError`); only the text is better: what was
tried, what the kernel said, the likely cause, and for a missing privilege the ways to get it.
"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sockwright.sockets.privileges import Capability, Privileges, remedy_for

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PATH_REFUSED", "explained", "explaining"]

PATH_REFUSED = (
    "this user may not write to the socket, or not enter a folder on the way to it "
    "('namei -l PATH' shows the owners)"
)
"""The likely cause of EACCES where a path is the address."""

# errno -> the likely cause, one line. What depends on the call is added by the caller as `hint`.
_CAUSES: dict[int, str] = {
    errno.EADDRINUSE: "another socket holds this address and port ('ss -lnp' shows it); "
    "port 0 lets the kernel choose a free one",
    errno.EADDRNOTAVAIL: "no interface of this machine has this address ('ip address' shows them)",
    errno.EAFNOSUPPORT: "this kernel was built without this address family",
    errno.EPROTONOSUPPORT: "this kernel was built without this protocol",
    errno.ESOCKTNOSUPPORT: "this kernel was built without this type of socket",
    errno.ECONNREFUSED: "nobody listens there",
    errno.ECONNRESET: "the peer closed at once or reset the connection (RST)",
    errno.EPIPE: "the peer has closed its side, or send_eof() was called before",
    errno.EHOSTUNREACH: "no host answers for this address on the last link, or a firewall says no",
    errno.ENETUNREACH: "no route leads there ('ip route get ADDRESS' shows what the kernel thinks)",
    errno.ENETDOWN: "the interface is down ('ip link set NAME up')",
    errno.ENODEV: "no such interface ('ip link' shows them)",
    errno.ENXIO: "no such interface ('ip link' shows them)",
    errno.EMSGSIZE: "it does not fit: a UDP datagram over IPv4 holds 65507 octets at most, "
    "and a raw packet with its own header at most the MTU",
    errno.EPERM: "a firewall rule drops it, or a privilege is missing",
    errno.EACCES: "a route prohibits it ('ip route get ADDRESS' shows which), or a security module "
    "(AppArmor, seccomp) says no",
    errno.ENOENT: "no such path: is the listener running, is the path right?",
    errno.EMFILE: "this process has too many open descriptors ('ulimit -n')",
    errno.ENFILE: "the machine has too many open descriptors",
    errno.ENOBUFS: "the queue of the interface or the socket buffer is full: send slower",
    errno.EPROTOTYPE: "the socket there is of another type (stream, datagram, seqpacket)",
    errno.EINVAL: "the kernel cannot make sense of an argument",
    errno.ENOTCONN: "the socket is not connected",
    errno.EDESTADDRREQ: "the socket is not connected: name the receiver",
    errno.EISCONN: "the socket is connected already",
    errno.ETIMEDOUT: "no answer: the host is down, or a firewall drops without a word",
}

# What the same numbers mean of vsock(7), which has no interfaces and no addresses.
_VSOCK_CAUSES: dict[int, str] = {
    errno.EADDRNOTAVAIL: "this machine does not have that CID",
    errno.ECONNRESET: "nobody listens there, or the peer is gone",
    errno.ENODEV: "nothing leads to that machine: on a host the module vhost_vsock does, in a "
    "guest virtio_vsock (vmw_vsock_*, hv_sock), for CID 1 vsock_loopback",
    errno.ESOCKTNOSUPPORT: "what leads to that machine does not carry this type of socket",
}


def explained(
    error: OSError, doing: str, *, needs: Capability | None = None, hint: str = ""
) -> OSError:
    """Give an error of the same class and errno as `error` whose text says what to do.

    `doing` is what was tried ("connect to tcp://..."), `needs` the capability that this takes (its
    absence is only named when the kernel said EPERM or EACCES), `hint` a cause more likely here
    than the general one.
    """
    if isinstance(error, socket.gaierror):
        text = hint or "the name does not resolve ('getent ahosts NAME' asks the same resolver)"
        return socket.gaierror(error.errno, f"{doing}: {error.strerror}: {text}")
    if error.errno is None:  # Python's own time limit
        return TimeoutError(errno.ETIMEDOUT, f"{doing}: {hint or 'the time limit has passed'}")
    name = errno.errorcode.get(error.errno, str(error.errno))
    said = f"{doing}: {os.strerror(error.errno)} ({name})"
    if needs is not None and error.errno in {errno.EPERM, errno.EACCES}:
        privileges = Privileges.current()
        if needs not in privileges:
            cause = f"needs {needs.name}, this process is {privileges}; {remedy_for(needs)}"
        else:
            cause = (
                f"this process has {needs.name} in its user namespace, but the network namespace "
                "belongs to another, or a security module (AppArmor, seccomp) says no"
            )
    else:
        ours = _VSOCK_CAUSES if "vsock://" in doing else _CAUSES
        cause = hint or ours.get(error.errno) or _CAUSES.get(error.errno, "")
    return OSError(error.errno, f"{said}: {cause}" if cause else said)


@contextmanager
def explaining(doing: str, *, needs: Capability | None = None, hint: str = "") -> Iterator[None]:
    """Raise each kernel error of the block with the text of `explained`."""
    try:
        yield
    except OSError as error:
        raise explained(error, doing, needs=needs, hint=hint) from error
