"""One workbench for every kind of socket: stream, datagram and raw.

The public names live in the packages below this one; `_HOME` says where. Each is loaded when it is
first asked for, so that ``import sockwright`` costs next to nothing.
"""

from __future__ import annotations

# Type checkers take this constant as true; the typing module alone would cost half the budget.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from sockwright.errors import (
        DecodeError,
        EndpointError,
        LayerError,
        NotPossibleError,
        SockwrightError,
        TruncatedError,
        UsageError,
    )
    from sockwright.lab import Lab
    from sockwright.sockets import connect, datagram, listen, packet, raw

__version__ = "0.1.0"

__all__ = [
    "DecodeError",
    "EndpointError",
    "Lab",
    "LayerError",
    "NotPossibleError",
    "SockwrightError",
    "TruncatedError",
    "UsageError",
    "__version__",
    "connect",
    "datagram",
    "listen",
    "packet",
    "raw",
]

_HOME = {
    "DecodeError": "errors",
    "EndpointError": "errors",
    "Lab": "lab",
    "LayerError": "errors",
    "NotPossibleError": "errors",
    "SockwrightError": "errors",
    "TruncatedError": "errors",
    "UsageError": "errors",
    "connect": "sockets",
    "datagram": "sockets",
    "listen": "sockets",
    "packet": "sockets",
    "raw": "sockets",
}


if not TYPE_CHECKING:  # seen by a type checker, it would make every misspelt name an object

    def __getattr__(name: str) -> object:
        """Load the public name `name` from its home and keep it here."""
        home = _HOME.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value: object = getattr(import_module(f"{__name__}.{home}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """Return the public names, loaded or not."""
    return sorted(__all__)
