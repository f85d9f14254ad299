"""How many clients the descriptors of this process are enough for, before the first of them comes.

Out of descriptors, a listener could not accept; worse, it could accept and then not open the other
end of a relay. So it is reckoned beforehand: whoever is let in is served, the others wait in the
backlog. The soft limit (ulimit -n), often 1024, is raised as far as that takes and the hard limit
allows, as getrlimit(2) lets every process do.
"""

from __future__ import annotations

import os

__all__ = ["room_for"]

_SPARE = 8  # to look up a name, start a program, write a file
_PIPES = 32  # through which the kernel moves octets by itself; each has two ends


def room_for(clients: int, each: int) -> tuple[int, int]:
    """Return how many of `clients` there is room for, and for how many pipes beside them.

    `each` is how many descriptors one client takes. There is room for one at least: that one learns
    what is missing.
    """
    try:
        from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit, setrlimit

        used = len(os.listdir("/proc/self/fd")) + _SPARE
    except (ImportError, OSError):  # not even one to look with: accept(2) will tell
        return clients, 0
    wanted = used + 2 * _PIPES + clients * each
    soft, hard = getrlimit(RLIMIT_NOFILE)
    if RLIM_INFINITY != soft < wanted:
        soft = wanted if hard == RLIM_INFINITY else min(hard, wanted)
        setrlimit(RLIMIT_NOFILE, (soft, hard))
    if soft == RLIM_INFINITY:
        return clients, _PIPES
    free = soft - used
    pipes = max(0, min(_PIPES, free // 16))
    return max(1, min(clients, (free - 2 * pipes) // each)), pipes
