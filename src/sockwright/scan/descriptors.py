"""How many sockets may be open at once.

A connection under way holds a descriptor. All that the limit of the process leaves (RLIMIT_NOFILE),
less some for whoever else works in it, may be used; one is left free in any case, since a module
may have to be read yet, or a file written. Where one is refused all the same, by this limit or by
the machine's, the scan goes on with those it has. Where it has none, and gets none for some
seconds, it cannot go on.
"""

from __future__ import annotations

import errno
import os
from time import monotonic
from typing import ClassVar

__all__ = ["Descriptors", "raise_limit"]

_LEAVE = 24  # descriptors left to the rest of the process, at least
_SHARE = 16  # else one in so many
_LEAST = 4
_MOST = 30_000  # a socket takes 2.5 kB of the kernel's memory
_SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Descriptors:
    """`limit` is how many sockets the scan may have; `remark` says why there are fewer now.

    `none_since` is when the scan was refused one while it had none, in seconds of the monotonic
    clock; None: it has some. Making one raises the soft RLIMIT_NOFILE of this process. It is made
    when everything else that the scan opens is open.

    Raises:
        OSError: EMFILE, there is not one to spare.
    """

    patience: ClassVar[float] = 10.0
    """Seconds without any until nothing more is hoped for."""

    __slots__ = ("_short_of", "limit", "none_since", "remark")

    def __init__(self) -> None:
        from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit

        raise_limit()
        soft = getrlimit(RLIMIT_NOFILE)[0]
        if soft == RLIM_INFINITY:
            soft = _MOST
        used = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # a plain number
        left = soft - used  # less one: listing them took one
        if left < 1:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        self.limit = min(max(left - max(_LEAVE, soft // _SHARE), min(left, _LEAST)), _MOST)
        self.remark = ""
        self.none_since: float | None = None
        self._short_of = 0

    def refused(self, error: OSError, count: int) -> bool:
        """Note that no socket was had beside `count` others; return whether that was for want."""
        if error.errno not in _SHORT:
            return False
        self._short_of = error.errno or 0
        if count:
            self.none_since = None
        elif self.none_since is None:
            self.none_since = monotonic()
        self.limit = max(min(self.limit, count - 1), 1)
        whose = "this process" if error.errno == errno.EMFILE else "the machine"
        self.remark = (
            f"{whose} has no more descriptors or memory for sockets: "
            f"{self.limit} connection{'' if self.limit == 1 else 's'} at once instead of more"
        )
        return True

    def failure(self) -> str:
        """Say why the scan cannot go on, and what to do about it; nothing, if it can."""
        if self.none_since is None or monotonic() < self.none_since + self.patience:
            return ""
        for_how_long = f"for {self.patience:g} s no socket could be opened"
        if self._short_of == errno.EMFILE:
            from resource import RLIMIT_NOFILE, getrlimit

            return (
                f"{for_how_long}: this process has all the {getrlimit(RLIMIT_NOFILE)[0]} "
                "descriptors that it may have (RLIMIT_NOFILE) in other use; close some of them, "
                "or raise the limit (ulimit -n)"
            )
        if self._short_of == errno.ENFILE:
            return (
                f"{for_how_long}: the machine has no more open files; "
                "end what holds them, or raise fs.file-max"
            )
        return f"{for_how_long}: the machine has no memory for sockets"


def raise_limit() -> bool:
    """Let this process open as many descriptors as a scan can use; return whether that helped.

    getrlimit(2) lets every process raise its soft limit, often 1024, up to the hard one.
    """
    from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit, setrlimit

    soft, hard = getrlimit(RLIMIT_NOFILE)
    wanted = _MOST if hard == RLIM_INFINITY else min(hard, _MOST)
    if soft == RLIM_INFINITY or soft >= wanted:
        return False
    setrlimit(RLIMIT_NOFILE, (wanted, hard))
    return True
