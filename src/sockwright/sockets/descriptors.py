"""How many sockets a job may have open at once."""

from __future__ import annotations

__all__ = ["within_limit"]


def within_limit(at_once: int) -> int:
    """Return `at_once`, or half of the descriptors that this process may have if that is less."""
    from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit

    soft, _ = getrlimit(RLIMIT_NOFILE)
    return at_once if soft == RLIM_INFINITY else max(1, min(at_once, soft // 2))
