"""Names of interfaces by their indexes, and back, after if_nameindex(3)."""

from __future__ import annotations

import socket

__all__ = ["device_indexes", "device_names"]


def device_names(namespace: int | str | None = None) -> dict[int, str]:
    """Return the names of the interfaces of a network namespace by their indexes.

    Raises: as `sockwright.sockets.diag.namespace.open_socket`.
    """
    return dict(socket.if_nameindex())


def device_indexes(namespace: int | str | None = None) -> dict[str, int]:
    """Return the indexes of the interfaces by their names."""
    return {name: index for index, name in device_names(namespace).items()}
