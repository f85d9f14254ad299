"""Hosts without root: network namespaces joined by Ethernet, ready in a few hundredths of a second.

::

    from sockwright.lab import Lab

    with Lab() as lab:
        a, b = lab.hosts("a", "b")
        print(a.run(["ip", "route", "get", b.ipv4]).stdout)

How it works
------------

*A host* is three namespaces: network, mounts (for its own /sys and /etc/hosts), host name. It has
no process, no name under /run/netns, no file: it is held by descriptors, in two places only, the
program that made the lab and the lab's keeper.

*The keeper* is a small Python that the program starts (`keeper`). It makes the namespaces, opens
sockets in them and starts programs in them, as it is asked over a socket. For root it makes them
directly; for an ordinary user inside a user namespace, where that user is user 0. It is process 1
of a PID namespace to which all that runs in the lab belongs.

*The end* is therefore one event. When the block ends, when the program ends in whatever way, when
the keeper is killed: process 1 of the PID namespace goes, the kernel kills the rest, the last
descriptors close, the networks are no more. There is nothing to undo, so nothing can be forgotten.

*The wires* are veth pairs from each host to a bridge, one bridge for each segment, in a namespace
without addresses. The program itself sets them up by rtnetlink, on sockets that the keeper opened:
whoever made a user namespace has every capability over it, without being in it. For the same
reason a socket of `Host.socket` can be bound to port 80 from here, by an ordinary user.

*What a capture shows* is what was said: the kernel's offloads are off, so checksums are there and
segments have their real size, and the kernel asks for no router and reports no duplicate address.

*Faults* (`Lab.link`, `Lab.cable`) are made without netem, which many kernels lack: see `switch`.

The modules: `lab` (the plan), `host`, `segment`, `link` (the public things); `keeping` and
`channel` (the way to the keeper), `keeper`, `switch` (the processes of the lab), `call` and
`process` (what runs in hosts), `capture`, `rtnetlink`, `linux`, `refusal`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sockwright.lab.call import Call
    from sockwright.lab.capture import Capture
    from sockwright.lab.host import Host, Interface
    from sockwright.lab.lab import Lab
    from sockwright.lab.link import Cable, Link
    from sockwright.lab.process import Process

__all__ = [
    "Cable",
    "Call",
    "Capture",
    "Host",
    "Interface",
    "Lab",
    "Link",
    "Process",
]

# The keeper is this package too and starts faster without what it does not need.
_MODULE_OF = {
    "Cable": "link",
    "Call": "call",
    "Capture": "capture",
    "Host": "host",
    "Interface": "host",
    "Lab": "lab",
    "Link": "link",
    "Process": "process",
}


if not TYPE_CHECKING:  # seen by a type checker, it would make every misspelt name an object

    def __getattr__(name: str) -> object:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    """Return the public names, loaded or not."""
    return sorted(__all__)
