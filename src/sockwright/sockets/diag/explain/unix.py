"""What sockets of the Unix domain are doing, in plain words.

See `sockwright.sockets.diag.explain`.
"""

from __future__ import annotations

import os

from sockwright.sockets.diag.explain.phrases import accept_queue, connected, holder, unread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sockwright.sockets.diag.explain.machine import Machine
    from sockwright.sockets.diag.unix import UnixSocket

__all__ = ["explain_unix"]


def explain_unix(row: UnixSocket, _: Machine) -> list[str]:
    """Tell of a socket of the Unix domain."""
    who = holder(row)
    if row.state == "LISTEN":
        queue = accept_queue(row.receive_queue, row.send_queue, who, "wait or are refused")
        return [f"{who} waits for connections {_name(row, 'connect')}", queue]
    gone = row.shutdown == "both" or row.peer_inode is None
    if row.type == "dgram" and row.path:
        texts = [f"{who} receives datagrams {_name(row, 'send some')}"]
        if row.peer_inode:
            texts.append(f"its own go to socket {row.peer_inode}")
    elif row.type == "dgram" and row.peer_inode:
        texts = [f"{who} sends datagrams to socket {row.peer_inode} of this machine"]
    elif row.type == "dgram":
        texts = [f"{who} can send datagrams, but nobody can reach it: it has no name"]
    elif row.state == "ESTAB" and row.peer_inode:
        texts = [f"{connected(row)} to socket {row.peer_inode} of this machine"]
        if row.path:
            texts[0] += f", accepted at {row.path}"
        else:
            texts.append("it has no name: it is one of a pair, or the side that connected")
    elif row.state == "ESTAB":
        texts = ["the other end has been closed" if gone else "connected, but not accepted yet"]
    elif row.path:
        texts = [f"{who} has taken the name {row.path}, but does not listen"]
    else:
        texts = [f"{who} has a socket that neither listens nor is connected"]
    texts += unread(row.receive_queue, who)
    texts += _sent(row, who)
    if row.shutdown:
        ends = {"receive": "receiving", "send": "sending", "both": "sending and receiving"}
        texts.append(f"shut down for {ends[row.shutdown]}")
    return texts


def _sent(row: UnixSocket, who: str) -> list[str]:
    """Tell of what was sent and not read; the send queue counts the memory that it takes."""
    octets = row.send_queue
    if not octets:
        return []
    limit = row.memory.sndbuf if row.memory is not None else None
    # sock_alloc_send_pskb() of the kernel has a sender wait from there on.
    if limit and octets >= limit:
        told = f"its send buffer is full ({octets} octets of memory, SO_SNDBUF is {limit})"
        return [f"{told}: {who} can send no more until the other end reads"]
    return [f"{octets} octets of memory hold what was sent and the other end has not read"]


def _name(row: UnixSocket, what: str) -> str:
    """Return the name, and who may do `what` there."""
    path = row.path
    if path.startswith("@"):
        where = f"at the abstract name {path}: every process in this network namespace can {what},"
        return f"{where} for no file guards it"
    if not path.startswith("/"):
        told = "relative to the folder that the program was in"
        return f"at the path {path}, {told}: whoever may write to that file can {what}"
    return f"at the path {path}{_file(row, what)}"


def _file(row: UnixSocket, what: str) -> str:
    """Return what the file says of who may do `what`."""
    # As a process sees it that has the socket, in its mount namespace; else as this one does.
    roots = (f"/proc/{process.pid}/root" for process in row.processes or ())
    root = next((one for one in roots if os.access(one, os.X_OK)), "")
    try:
        found = os.stat(root + row.path)
    except (FileNotFoundError, NotADirectoryError):
        return (
            f", but no such file is there: nobody can {what} any more, unless another mount "
            "namespace has it"
        )
    except OSError:
        found = None
    # Devices are compared as well because of file systems on top of others, see `UnixSocket.vfs`.
    if found is not None and row.vfs is not None:
        device, inode = row.vfs
        if found.st_dev == device and found.st_ino & 0xFFFFFFFF != inode:
            return f", but another file has that name now: nobody can {what} any more"
    return f": whoever may write to that file can {what}"
