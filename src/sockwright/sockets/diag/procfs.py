"""Sockets as /proc/net tells of them (proc(5)), where the kernel has no sock_diag for a protocol."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.sockets.diag.tables import Table

__all__ = ["read_proc"]


def read_proc(table: Table, family: str) -> Iterator[bytes]:
    """Yield a message in the form of sock_diag for each socket of `table` and `family`.

    `table.row` takes such a message. The network namespace is that of the calling thread. What
    /proc does not tell is left out: cookies are 0, and rows with cookie 0 are all different sockets.

    Raises:
        NotPossibleError: /proc does not list these sockets either.
    """
    raise NotImplementedError(table, family)
