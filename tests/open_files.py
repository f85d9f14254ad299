"""What this process has open, for tests that nothing stays open."""

from __future__ import annotations

import contextlib
from pathlib import Path

__all__ = ["open_descriptors", "open_files"]


def open_descriptors() -> set[tuple[str, str]]:
    """Return the descriptors of this process, and what each of them is.

    Leaks are what is new. How many there are may fall meanwhile, in a call in a host of a lab, too:
    it has a copy of the garbage of this process, and collects it.
    """
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the descriptor of the listing itself is gone by now
            found.add((entry.name, str(entry.readlink())))
    return found


def open_files() -> set[tuple[str, str]]:
    """Return descriptors with what they lead to: sockets, pipes, epolls, what is in /proc.

    Not the files of disks, of which a thread of an earlier test may still load its code. Compare by
    ``after <= before``: what an earlier test has left to the garbage collector may go meanwhile.
    """
    return {
        (fd, name) for fd, name in open_descriptors() if name.startswith("/proc/") or name[0] != "/"
    }
